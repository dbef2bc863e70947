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
	// maxCallbacks is how many callbacks of a call may wait for their reply. Beyond that they are
	// refused; an agent, which counts too, never comes to twice as many.
	maxCallbacks = 1000

	// maxReply bounds the value that a callback is answered with, in bytes: the rest of MaxFrame is
	// for the header.
	maxReply = MaxFrame - 1<<20

	// maxReplies bounds the replies that wait for the writer, in bytes. More come together only where
	// an agent hardly reads.
	maxReplies = 4 * MaxFrame

	maxCallbackName = 200 // bytes of a name in a message
)

// hosted is the daemon's side of a call's Client.
type hosted struct {
	host   call.Client
	stream bool
	names  []string
	limits Limits
	ctx    context.Context // of the callbacks; ends with the call
	stop   context.CancelFunc

	// These are the reader's.
	lines int  // of the agent, also those dropped
	bytes int  // of these lines
	full  bool // the limits are passed

	mu    sync.Mutex // guards what follows
	users int        // goroutines that are in the host
	over  bool       // no more enter
	then  func()     // called when it is over and the last one has left

	// Container.mu guards what follows.
	last      uint64 // number of the newest callback
	open      int    // callbacks whose reply has not gone to the agent
	openBytes int    // of their arguments
}

func newHosted(job *call.Call, l Limits) *hosted {
	h := &hosted{host: job.Client, stream: job.Stream, names: job.Callbacks, limits: l}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// end calls then when the host is left alone: at once, or when the last callback has returned.
func (h *hosted) end(then func()) {
	h.stop()
	h.mu.Lock()
	h.over, h.then = true, then
	users := h.users
	h.mu.Unlock()
	if users == 0 {
		then()
	}
}

// enter reports whether the host may be called. Whoever was let in leaves.
func (h *hosted) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.users++
	return true
}

func (h *hosted) leave() {
	h.mu.Lock()
	h.users--
	last := h.over && h.users == 0
	h.mu.Unlock()
	if last {
		h.then()
	}
}

// print applies the limits that the agent should have applied, as boundConsole does. It reports false
// where the agent has printed more than even one with a lying worker would.
func (h *hosted) print(level, text string) bool {
	h.lines++
	h.bytes += len(text)
	if h.lines > 2*h.limits.ConsoleLines+1 || h.bytes > h.limits.headerLimit() {
		return false
	}
	if h.full || !h.enter() {
		return true
	}
	defer h.leave()
	if h.lines > h.limits.ConsoleLines || h.bytes > h.limits.ConsoleBytes {
		h.full = true
		level, text = "warn", consoleClosing
	}
	h.host.Print(level, text)
	return true
}

type printHeader struct {
	ID    uint64 `json:"id"`
	Level string `json:"level"`
}

var levels = []string{"log", "info", "warn", "error", "debug"}

func (c *Container) handlePrint(f frame) error {
	var h printHeader
	if err := decodeSmall(f, c.limits, &h); err != nil {
		return err
	}
	if !slices.Contains(levels, h.Level) {
		return fmt.Errorf("%w: a line of an unknown level", errProtocol)
	}
	pending, err := c.find(h.ID)
	if pending == nil {
		return err
	}
	if pending.host == nil || !pending.host.stream {
		return fmt.Errorf("%w: a line of call %d, which does not stream", errProtocol, h.ID)
	}
	if !pending.host.print(h.Level, strings.ToValidUTF8(string(f.body), "\uFFFD")) {
		return fmt.Errorf("%w: call %d prints without end", errProtocol, h.ID)
	}
	return nil
}

// A callback is one call of host.NAME.
type callback struct {
	call   *pendingCall
	number uint64
	name   string
	args   json.RawMessage

	waiting int // bytes of its reply in the outbox; guarded by Container.mu
}

type callbackHeader struct {
	ID       uint64 `json:"id"`
	Callback uint64 `json:"callback"`
	Name     string `json:"name"`
}

func (c *Container) handleCallback(f frame) error {
	var h callbackHeader
	if err := decodeSmall(f, c.limits, &h); err != nil {
		return err
	}
	pending, err := c.find(h.ID)
	if pending == nil {
		return err
	}
	if pending.host == nil || len(pending.host.names) == 0 {
		return fmt.Errorf("%w: a callback of call %d, which has none", errProtocol, h.ID)
	}
	b := &callback{call: pending, number: h.Callback, name: h.Name, args: f.body}
	crowded, err := c.admit(b)
	if err != nil {
		return err
	}
	if refusal := b.refusal(crowded); refusal != "" {
		c.reply(b, nil, &replyError{Message: refusal})
		return nil
	}
	host := pending.host
	if host.enter() {
		go func() {
			defer host.leave()
			value, err := host.host.Callback(host.ctx, b.name, b.args)
			c.reply(b, value, replyErrorOf(err))
		}()
	}
	return nil
}

// admit counts a callback. It reports whether too many are open; an agent should not let it come to that,
// and certainly not to twice as many.
func (c *Container) admit(b *callback) (crowded bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := b.call.host
	h.last++
	if b.number != h.last {
		return false, fmt.Errorf("%w: callback %d of call %d, where %d is next", errProtocol, b.number, b.call.id, h.last)
	}
	h.open++
	h.openBytes += len(b.args)
	if h.open > 2*maxCallbacks || h.openBytes > 2*c.limits.Result {
		return false, fmt.Errorf("%w: %d open callbacks of call %d, with %d bytes", errProtocol, h.open, b.call.id, h.openBytes)
	}
	return h.open > maxCallbacks || h.openBytes > c.limits.Result, nil
}

// refusal says why the client is not asked; "" where it is.
func (b *callback) refusal(crowded bool) string {
	name := clip(b.name, maxCallbackName)
	switch {
	case !slices.Contains(b.call.host.names, b.name):
		return fmt.Sprintf("host.%s is not allowed: it is not in callbacks", name)
	case crowded:
		return fmt.Sprintf("host.%s is not allowed: too many callbacks wait for an answer", name)
	case len(b.args) == 0 || b.args[0] != '[' || !utf8.Valid(b.args) || !json.Valid(b.args):
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

// reply answers a callback, unless its call has ended by the time the writer comes to it.
func (c *Container) reply(b *callback, value json.RawMessage, failed *replyError) {
	size, most := len(value), maxReply
	if failed != nil {
		size, most = len(failed.Data), HeaderRoom
	}
	switch {
	case size > most:
		failed = &replyError{Message: fmt.Sprintf("the answer to host.%s is too large", b.name)}
	case !c.reserve(b, size):
		failed = &replyError{Message: fmt.Sprintf("the answer to host.%s has no room: too many wait to be sent", b.name)}
	}
	pieces, err := encodeReply(b, value, failed)
	if err != nil { // no JSON, in what is to be it
		pieces, err = encodeReply(b, nil, &replyError{Message: fmt.Sprintf("the answer to host.%s is no JSON", b.name)})
	}
	if err != nil {
		c.end(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postLocked(outgoing{pieces: pieces, reply: b})
}

// reserve notes that n bytes wait for the writer, if there is room for them.
func (c *Container) reserve(b *callback, n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replyBytes+n > maxReplies {
		return false
	}
	b.waiting = n
	c.replyBytes += n
	return true
}

// takeReplyLocked closes a callback whose reply is about to be written, and reports whether anybody
// still waits for it.
func (c *Container) takeReplyLocked(b *callback) bool {
	h := b.call.host
	h.open--
	h.openBytes -= len(b.args)
	c.replyBytes -= b.waiting
	return c.pending[b.call.id] == b.call && h.ctx.Err() == nil
}

// encodeReply makes the pieces of a reply. The value is not copied.
func encodeReply(b *callback, value json.RawMessage, failed *replyError) ([][]byte, error) {
	switch {
	case failed != nil:
		value = nil
	case len(value) == 0:
		value = []byte("null")
	}
	head, err := encodeHead(kindReply, replyHeader{ID: b.call.id, Callback: b.number, Error: failed}, value)
	if err != nil {
		return nil, err
	}
	return [][]byte{head, value}, nil
}
