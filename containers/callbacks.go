package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jsd-project/jsd/call"
)

const (
	// maxCallbacks is how many callbacks of a call may wait for their reply. More are refused. An honest agent counts, too, and
	// never sends twice as many.
	maxCallbacks = 1000

	// maxReply bounds the value that a callback is answered with, in bytes: the rest of MaxFrame is for the header.
	maxReply = MaxFrame - 1<<20

	// maxReplies bounds the replies in the outbox, in bytes. The bound is met only if the agent hardly reads.
	maxReplies = 4 * MaxFrame

	maxCallbackName = 200 // bytes of a name in a message
)

// callbacks lead from a call's script to its client: lines that are printed, and calls of host.NAME.
type callbacks struct {
	link   *link
	call   uint64 // its id
	client call.Client
	stream bool
	names  []string
	ctx    context.Context // of the client; ends with the call
	cancel context.CancelFunc

	// These belong to the reader.
	lines int  // printed by the agent, including dropped ones
	bytes int  // of these lines
	full  bool // the limits of the console are exceeded

	mu     sync.Mutex // guards what follows
	inside int        // goroutines that have acquired the client
	closed bool       // the client cannot be acquired any more
	then   func()     // called when closed is set and inside is 0

	// link.mu guards what follows.
	ended     bool   // the call was answered, or the agent told to stop it: no reply leaves any more
	last      uint64 // number of the newest callback
	open      int    // callbacks whose reply has not left
	openBytes int    // of their arguments
}

// newCallbacks returns nil for a call whose script does not use its client.
func newCallbacks(l *link, id uint64, job *call.Call) *callbacks {
	if job.Client == nil || !job.Stream && len(job.Callbacks) == 0 {
		return nil
	}
	b := &callbacks{link: l, call: id, client: job.Client, stream: job.Stream, names: job.Callbacks}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// close calls then when no goroutine is in the client any more. endLocked has told these goroutines to end.
func (b *callbacks) close(then func()) {
	b.mu.Lock()
	b.closed, b.then = true, then
	inside := b.inside
	b.mu.Unlock()
	if inside == 0 {
		then()
	}
}

// endLocked stops further replies, and ends the context of the goroutines in the client.
func (b *callbacks) endLocked() {
	if b != nil {
		b.ended = true
		b.cancel()
	}
}

// acquire reports whether the client may be called. After true the caller calls release.
func (b *callbacks) acquire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.inside++
	}
	return !b.closed
}

func (b *callbacks) release() {
	b.mu.Lock()
	b.inside--
	last := b.closed && b.inside == 0
	b.mu.Unlock()
	if last {
		b.then()
	}
}

type printHeader struct {
	ID    uint64 `json:"id"`
	Level string `json:"level"`
}

func (h *printHeader) check() error {
	switch h.Level {
	case "log", "info", "warn", "error", "debug":
		return nil
	default:
		return fmt.Errorf("%w: a line of an unknown level", errProtocol)
	}
}

// print passes a line on, within the limits of the console. The agent should have applied these limits, but a worker may lie to it.
// An agent that prints twice as much breaks the rules.
func (b *callbacks) print(level string, line []byte) error {
	if b == nil || !b.stream {
		return fmt.Errorf("%w: a line of a call that does not stream", errProtocol)
	}
	text, limits := strings.ToValidUTF8(string(line), "\uFFFD"), b.link.limits
	b.lines++
	b.bytes += len(text)
	if b.lines > 2*limits.ConsoleLines+1 || b.bytes > limits.headerLimit() {
		return fmt.Errorf("%w: call %d prints without end", errProtocol, b.call)
	}
	if b.full || !b.acquire() {
		return nil
	}
	defer b.release()
	if b.lines > limits.ConsoleLines || b.bytes > limits.ConsoleBytes {
		b.full = true
		level, text = "warn", consoleClosing
	}
	b.client.Print(level, text)
	return nil
}

// A callback is one call of host.NAME.
type callback struct {
	of     *callbacks
	number uint64
	name   string
	args   json.RawMessage

	replyBytes int // of its reply in the outbox; guarded by link.mu
}

type callbackHeader struct {
	ID       uint64 `json:"id"`
	Callback uint64 `json:"callback"`
	Name     string `json:"name"`
}

// start calls the client in a goroutine of its own, or refuses the callback.
func (b *callbacks) start(h callbackHeader, args json.RawMessage) error {
	if b == nil || len(b.names) == 0 {
		return fmt.Errorf("%w: a callback of call %d, which has none", errProtocol, h.ID)
	}
	cb := &callback{of: b, number: h.Callback, name: h.Name, args: args}
	crowded, err := b.admit(cb)
	if err != nil {
		return err
	}
	if refusal := cb.refusal(crowded); refusal != "" {
		cb.reply(nil, &replyError{Message: refusal})
		return nil
	}
	if b.acquire() {
		go func() {
			defer b.release()
			value, err := b.client.Callback(b.ctx, cb.name, cb.args)
			cb.reply(value, replyErrorOf(err))
		}()
	}
	return nil
}

// admit counts a callback. It reports whether too many are open, which an agent should prevent. With twice as many the agent breaks the
// rules.
func (b *callbacks) admit(cb *callback) (crowded bool, err error) {
	b.link.mu.Lock()
	defer b.link.mu.Unlock()
	b.last++
	if cb.number != b.last {
		return false, fmt.Errorf("%w: callback %d of call %d, where %d is next", errProtocol, cb.number, b.call, b.last)
	}
	b.open++
	b.openBytes += len(cb.args)
	most := b.link.limits.Result
	if b.open > 2*maxCallbacks || b.openBytes > 2*most {
		return false, fmt.Errorf("%w: %d open callbacks of call %d, with %d bytes", errProtocol, b.open, b.call, b.openBytes)
	}
	return b.open > maxCallbacks || b.openBytes > most, nil
}

// refusal returns why a callback is refused, or "" if the client is to be called.
func (cb *callback) refusal(crowded bool) string {
	name := clip(cb.name, maxCallbackName)
	switch {
	case !slices.Contains(cb.of.names, cb.name):
		return fmt.Sprintf("host.%s is not allowed: it is not in callbacks", name)
	case crowded:
		return fmt.Sprintf("host.%s is not allowed: too many callbacks wait for an answer", name)
	case len(cb.args) == 0 || cb.args[0] != '[' || !utf8.Valid(cb.args) || !json.Valid(cb.args):
		// From an honest worker, arguments nested deeper than Go's parser goes.
		return fmt.Sprintf("the arguments of host.%s are nested too deeply", name)
	}
	return ""
}

type replyHeader struct {
	ID       uint64      `json:"id"`
	Callback uint64      `json:"callback"`
	Error    *replyError `json:"error,omitempty"`
}

// A replyError is what a script's promise rejects with.
type replyError struct {
	Message string          `json:"message"`
	Code    *int64          `json:"code,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func replyErrorOf(err error) *replyError {
	if err == nil {
		return nil
	}
	var answer *call.CallbackError
	if !errors.As(err, &answer) {
		return &replyError{Message: "the callback failed"}
	}
	return &replyError{Message: clip(answer.Message, maxText), Code: &answer.Code, Data: answer.Data}
}

// reply answers a callback.
func (cb *callback) reply(value json.RawMessage, failed *replyError) {
	size, most := len(value), maxReply
	if failed != nil {
		size, most = len(failed.Data), HeaderRoom
	}
	switch {
	case size > most:
		failed = &replyError{Message: fmt.Sprintf("the answer to host.%s is too large", cb.name)}
	case !cb.reserve(size):
		failed = &replyError{Message: fmt.Sprintf("the answer to host.%s has no room: too many wait to be sent", cb.name)}
	}
	o, err := cb.encode(value, failed)
	if err != nil { // the client's answer is no JSON
		o, err = cb.encode(nil, &replyError{Message: fmt.Sprintf("the answer to host.%s is no JSON", cb.name)})
	}
	l := cb.of.link
	if err != nil {
		l.fail(err)
		return
	}
	l.mu.Lock()
	l.postLocked(o)
	l.unlock()
}

// reserve makes room for a reply of n bytes in the outbox, if there is any.
func (cb *callback) reserve(n int) bool {
	l := cb.of.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outbox.replyBytes+n > maxReplies {
		return false
	}
	cb.replyBytes = n
	l.outbox.replyBytes += n
	return true
}

// departLocked closes the callback. The reply is left out if the call has ended.
func (cb *callback) departLocked(*outgoing) bool {
	cb.of.open--
	cb.of.openBytes -= len(cb.args)
	cb.of.link.outbox.replyBytes -= cb.replyBytes
	return !cb.of.ended
}

// encode makes the reply. The value is not copied.
func (cb *callback) encode(value json.RawMessage, failed *replyError) (outgoing, error) {
	switch {
	case failed != nil:
		value = nil
	case len(value) == 0:
		value = []byte("null")
	}
	head, err := encodeHead(kindReply, replyHeader{ID: cb.of.call, Callback: cb.number, Error: failed}, value)
	return outgoing{head: head, body: value, departure: cb}, err
}
