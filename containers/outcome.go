package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jsd-project/jsd/call"
)

const (
	// maxText bounds name, message and stack of a failure, in bytes. An agent cuts them at 16 Ki characters and may mark the
	// cut, so it sends less than this.
	maxText  = 64 << 10
	maxLimit = 64

	maxCPU = 1e12 // ms, some 30 years: any such time fits a Duration

	// consoleClosing is the last line of a console that exceeded its limit. If the agent adds this line, it does not count
	// against the limit.
	consoleClosing = "console limit reached, the rest is dropped"
)

// An answerHeader is the header of a result or a failure.
type answerHeader struct {
	ID      uint64    `json:"id"`
	Time    int64     `json:"time"`
	CPU     float64   `json:"cpu"` // ms
	Console []string  `json:"console"`
	Code    call.Code `json:"code"`
	Name    string    `json:"name"`
	Message string    `json:"message"`
	Stack   string    `json:"stack"`
	Limit   string    `json:"limit"`
	Started bool      `json:"started"`
}

func decodeAnswer(f *frame, l *Limits) (answerHeader, error) {
	if f.kind != kindResult && f.kind != kindFailure {
		return answerHeader{}, fmt.Errorf("%w: unknown kind of frame %d", errProtocol, f.kind)
	}
	if len(f.header) > l.headerLimit() || len(f.body) > l.Result {
		return answerHeader{}, fmt.Errorf("%w: header of %d bytes and body of %d", errProtocol, len(f.header), len(f.body))
	}
	var h answerHeader
	if err := json.Unmarshal(f.header, &h); err != nil {
		return answerHeader{}, fmt.Errorf("%w: header: %w", errProtocol, err)
	}
	if h.CPU < 0 || h.CPU > maxCPU {
		return answerHeader{}, fmt.Errorf("%w: %g ms of processor time", errProtocol, h.CPU)
	}
	if f.kind == kindFailure {
		if !h.Code.FromAgent() {
			return answerHeader{}, fmt.Errorf("%w: a failure with code %d", errProtocol, h.Code)
		}
	}
	return h, nil
}

var errWorkerDied = errors.New("the worker died under the call")

// An outcome is the pair of arguments of call.Done.
type outcome struct {
	result call.Result
	err    error
}

// outcomeOf returns the outcome of an answer. f is the answer's frame and h its checked header.
func outcomeOf(f *frame, h *answerHeader, l *Limits) outcome {
	console := boundConsole(h.Console, l)
	if f.kind == kindFailure {
		switch h.Code {
		case call.Lost:
			return outcome{err: &call.LostError{Started: h.Started, Cause: errWorkerDied}}
		case call.NotFound:
			return outcome{err: call.ErrNoSession}
		}
		return outcome{err: &call.Failure{
			Code:    h.Code,
			Name:    clip(h.Name, maxText),
			Message: clip(h.Message, maxText),
			Stack:   clip(h.Stack, maxText),
			Limit:   clip(h.Limit, maxLimit),
			Console: console,
		}}
	}
	// JavaScript nests more deeply than Go's parser. The daemon cannot pass such a value on.
	if !utf8.Valid(f.body) || !json.Valid(f.body) {
		return outcome{err: &call.Failure{
			Code: call.NotSerializable, Name: "RangeError", Message: "The value is nested too deeply", Console: console,
		}}
	}
	return outcome{result: call.Result{
		Value:   f.lastingBody(),
		Console: console,
		Time:    max(0, h.Time),
		CPU:     time.Duration(h.CPU * float64(time.Millisecond)),
	}}
}

// boundConsole applies the limits of the console, in case the agent did not. It returns lines within the limits unchanged.
// The result is never nil.
func boundConsole(lines []string, l *Limits) []string {
	if lines == nil {
		return []string{}
	}
	if n := len(lines); n > 0 && lines[n-1] == consoleClosing {
		bounded, _ := withinLimits(lines[:n-1], l)
		return append(bounded, consoleClosing)
	}
	bounded, whole := withinLimits(lines, l)
	if !whole {
		bounded = append(bounded, consoleClosing)
	}
	return bounded
}

func withinLimits(lines []string, l *Limits) (fitting []string, whole bool) {
	bytes := 0
	for i, line := range lines {
		bytes += len(line)
		if i >= l.ConsoleLines || bytes > l.ConsoleBytes {
			return lines[:i:i], false
		}
	}
	return lines, true
}
