package containers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// helloTime bounds the wait for an agent's hello where the context has no earlier end. A cold
	// container on a busy machine takes a second or two.
	helloTime = 30 * time.Second

	readBuffer = 64 << 10
)

// A Container is a link to a running agent. Its methods may be called from any goroutine.
//
// It has three goroutines: the reader, the writer, and the one that ends the process once the link
// is dead and waits for the other two. Done is closed after all of them.
type Container struct {
	process Process
	limits  Limits
	log     zerolog.Logger
	agent   Hello

	slots   chan struct{} // one element per call that the agent may still be at
	queue   chan outgoing
	bundles *bundles
	dead    chan struct{} // closed by end
	done    chan struct{} // closed when nothing is left
	killErr error         // what ending the process came to; valid once done is closed

	mu      sync.Mutex // guards what follows
	pending map[uint64]*pendingCall
	lastID  uint64
	cause   error // why the link is dead; nil while it lives
}

// Open speaks the first words of the link over p and returns when the agent has answered them. When
// that fails, or ctx ends before, p is killed.
func Open(ctx context.Context, p Process, l Limits, log zerolog.Logger) (*Container, error) {
	c := &Container{
		process: p,
		limits:  l,
		log:     log.With().Str("container", p.ID()).Logger(),
		slots:   make(chan struct{}, max(1, l.Concurrency)),
		// A call that still holds its slot has at most itself, with its bundle in the same element,
		// and its cancel in the queue, and in front of these the cancel of the slot's call before:
		// what is behind a call in the queue cannot have been answered. So the queue is never full.
		queue:   make(chan outgoing, 3*max(1, l.Concurrency)),
		bundles: newBundles(min(bundleBytes, l.Memory<<20/bundleShare), bundleCount),
		dead:    make(chan struct{}),
		done:    make(chan struct{}),
		pending: make(map[uint64]*pendingCall),
	}
	reader := bufio.NewReaderSize(p, readBuffer)
	if err := c.greet(ctx, reader); err != nil {
		err = fmt.Errorf("container did not become ready: %w", err)
		if killErr := p.Kill(); killErr != nil {
			err = fmt.Errorf("%w; nor could it be removed: %w", err, killErr)
		}
		return nil, err
	}
	go c.run(reader)
	return c, nil
}

// greet exchanges hellos. Should it fail, the process may still be waiting in a Read or Write that
// only its end frees, so greet ends it.
func (c *Container) greet(ctx context.Context, r io.Reader) error {
	ctx, cancel := context.WithTimeoutCause(ctx, helloTime, fmt.Errorf("no hello from the agent in %v", helloTime))
	defer cancel()
	var greeting error
	greeted := make(chan struct{})
	go func() {
		defer close(greeted)
		greeting = c.exchange(r)
	}()
	select {
	case <-greeted:
		return greeting
	case <-ctx.Done():
		_ = c.process.Kill() // Open asks again, and gets the same answer
		<-greeted
		return fmt.Errorf("%w (%w)", context.Cause(ctx), greeting)
	}
}

func (c *Container) exchange(r io.Reader) error {
	hello, err := encodeHello(c.limits)
	if err != nil {
		return err
	}
	_, writeErr := c.process.Write(hello)
	// An agent that died takes no hello, but what it left to read says why.
	f, err := readFrame(r, maxHello)
	if err == io.EOF && writeErr != nil {
		err = writeErr
	}
	if err != nil {
		return endOf(err)
	}
	c.agent, err = decodeHello(f)
	return err
}

// run owns the link until it is dead, then ends the process and waits for what belongs to it.
func (c *Container) run(r *bufio.Reader) {
	var both sync.WaitGroup
	both.Go(func() { c.end(c.read(r)) })
	both.Go(c.write)
	<-c.dead
	c.killErr = c.process.Kill()
	if c.killErr != nil {
		c.log.Error().Err(c.killErr).Msg("container could not be removed")
	}
	both.Wait()
	close(c.done)
}

// ID names the container as its driver's tools do.
func (c *Container) ID() string { return c.process.ID() }

// Agent is what the agent said of itself.
func (c *Container) Agent() Hello { return c.agent }

// Done is closed as soon as the container takes no calls any more, for whatever reason; Close waits
// until nothing of it is left.
func (c *Container) Done() <-chan struct{} { return c.dead }

// Close ends the container and waits until nothing of it is left. Calls in flight get a LostError
// with ErrClosed as its cause. It may be called more than once.
func (c *Container) Close() error {
	c.end(ErrClosed)
	<-c.done
	return c.killErr
}

// end makes the link dead. The first cause counts; every call in flight gets its answer at once.
func (c *Container) end(cause error) {
	c.mu.Lock()
	lost, died := c.dieLocked(cause)
	c.mu.Unlock()
	if died {
		c.tell(cause, lost)
	}
}

// endFor is end on account of one call, which gets an answer of its own. It does nothing when that
// call has been answered meanwhile.
func (c *Container) endFor(cause error, call *pendingCall, answer outcome) {
	c.mu.Lock()
	if c.pending[call.id] != call {
		c.mu.Unlock()
		return
	}
	delete(c.pending, call.id)
	lost, _ := c.dieLocked(cause)
	c.mu.Unlock()
	call.settle(answer)
	c.tell(cause, lost)
}

// dieLocked gives the calls that were in flight; died is false on a link that was dead already.
func (c *Container) dieLocked(cause error) (lost []*pendingCall, died bool) {
	if c.cause != nil {
		return nil, false
	}
	c.cause = cause
	lost = slices.Collect(maps.Values(c.pending))
	clear(c.pending)
	close(c.dead)
	return lost, true
}

func (c *Container) tell(cause error, lost []*pendingCall) {
	level := zerolog.WarnLevel
	if errors.Is(cause, ErrClosed) {
		level = zerolog.DebugLevel
	}
	c.log.WithLevel(level).Str("reason", cause.Error()).Int("calls", len(lost)).Msg("container ended")
	for _, call := range lost {
		call.settle(outcome{err: &LostError{Started: call.sent, Cause: cause}})
	}
}

// read takes the agent's frames until one cannot be believed, and says why.
func (c *Container) read(r *bufio.Reader) error {
	limit := c.limits.headerLimit() + 1 + c.limits.Result
	for {
		f, err := readFrame(r, limit)
		if errors.Is(err, errFrameTooLong) {
			return fmt.Errorf("%w: %w", errProtocol, err)
		}
		if err != nil {
			return endOf(err)
		}
		h, err := decodeHeader(f, c.limits)
		if err != nil {
			return err
		}
		call := c.take(h.ID)
		if call == nil {
			return fmt.Errorf("%w: an answer to call %d, which waits for none", errProtocol, h.ID)
		}
		o := outcomeOf(f, h, c.limits)
		if o.err == nil {
			o.result.Container = c.ID()
		}
		if call.bundle != "" {
			c.bundles.release(call.bundle)
		}
		call.settle(o)
		<-c.slots
	}
}

// take gives the call that waits for an answer under id, once, or nil. A call that was not sent yet
// cannot be answered.
func (c *Container) take(id uint64) *pendingCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.pending[id]
	if call == nil || !call.sent {
		return nil
	}
	delete(c.pending, id)
	return call
}

var errAgentEnded = errors.New("the agent ended")

// endOf says what a failed read means: at its end a stream has nothing to add to that.
func endOf(err error) error {
	if err == io.EOF {
		return errAgentEnded
	}
	return fmt.Errorf("%w: %w", errAgentEnded, err)
}

type callHeader struct {
	ID      uint64 `json:"id"`
	Timeout int64  `json:"timeout"` // ms
	CPU     int64  `json:"cpu"`     // ms
	Bundle  string `json:"bundle,omitempty"`
	Memory  int    `json:"memory,omitempty"` // MiB
	Stats   bool   `json:"stats,omitempty"`
}

type cancelHeader struct {
	ID uint64 `json:"id"`
}
