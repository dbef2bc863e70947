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
	"golang.org/x/time/rate"

	"github.com/jsd-project/jsd/call"
)

const (
	// helloTime bounds the wait for an agent's hello where the context has no earlier end. A cold
	// container on a busy machine takes a second or two.
	helloTime = 30 * time.Second

	readBuffer = 64 << 10
)

// A Container is a link to a running agent. Its methods may be called from any goroutine.
//
// It has three goroutines: the reader, the writer, and the one that watches the agent, ends the process
// once the link is dead and waits for the other two, and for those that streams have. Done is closed after all of them.
type Container struct {
	process Process
	limits  Limits
	log     zerolog.Logger
	agent   Hello

	unsent    chan struct{} // of one element: there is something in the outbox
	overdue   chan struct{} // of one element: a call is past its deadline
	bundles   *bundles
	words     *words         // of the agent
	dead      chan struct{}  // closed by end
	done      chan struct{}  // closed when nothing is left
	streaming sync.WaitGroup // goroutines of streams, which the reader starts
	dialing   *rate.Limiter  // of streams
	killErr   error          // what ending the process came to; valid once done is closed

	mu          sync.Mutex              // guards what follows
	waiting     []*pendingCall          // in the order in which they came
	atAgent     int                     // calls that the agent may still be at: those pending, and those that start
	pending     map[uint64]*pendingCall // the agent was sent them, or will be
	alarm       *time.Timer             // calls checkDue; nil until there is a call
	alarmAt     time.Duration           // when it does, on the clock of words; 0: it is not set
	lastID      uint64
	sessions    map[uint64]*session // that the agent was told to open and has not said to have ended
	lastSession uint64
	outbox      []outgoing         // what the writer takes next, in this order
	replyBytes  int                // of replies in the outbox
	streams     map[uint32]*stream // that the agent has opened and was not told the end of
	lastStream  uint32
	data        []*stream // that have a frame for the writer, each once, first come first
	pinged      bool      // the agent owes a pong
	late        int       // frames about answered calls since the last answer
	lateData    int       // bytes and frames that the agent may have sent of streams before it knew that they were over
	cause       error     // why the link is dead; nil while it lives
}

// Open speaks the first words of the link over p and returns when the agent has answered them. When
// that fails, or ctx ends before, p is killed.
func Open(ctx context.Context, p Process, l Limits, log zerolog.Logger) (*Container, error) {
	c := &Container{
		process:  p,
		limits:   l,
		log:      log.With().Str("container", p.ID()).Logger(),
		unsent:   make(chan struct{}, 1),
		overdue:  make(chan struct{}, 1),
		bundles:  newBundles(min(bundleBytes, l.Memory<<20/bundleShare), bundleCount),
		words:    &words{from: p, begun: time.Now()},
		dead:     make(chan struct{}),
		done:     make(chan struct{}),
		pending:  make(map[uint64]*pendingCall),
		sessions: make(map[uint64]*session),
		streams:  make(map[uint32]*stream),
		dialing:  rate.NewLimiter(streamRate, streamBurst),
	}
	reader := bufio.NewReaderSize(c.words, readBuffer)
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
	c.watch()
	c.killErr = c.process.Kill()
	if c.killErr != nil {
		c.log.Error().Err(c.killErr).Msg("container could not be removed")
	}
	both.Wait()
	c.streaming.Wait()
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
	c.end(call.ErrClosed)
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

// endFor is end on account of what goes on although the agent was told to stop it, unless the agent has
// said nothing since then: whether it is slow or dead is for watch to find out. stillLocked gives the timer
// that it is called by, nil where nothing goes on any more.
func (c *Container) endFor(cause error, asked time.Duration, stillLocked func() *time.Timer) {
	c.mu.Lock()
	timer := stillLocked()
	if timer != nil && c.words.last() < asked {
		timer.Reset(cancelGrace)
		timer = nil
	}
	var lost []*pendingCall
	died := false
	if timer != nil {
		lost, died = c.dieLocked(cause)
	}
	c.mu.Unlock()
	if died {
		c.tell(cause, lost)
	}
}

// dieLocked gives the calls that were in flight; died is false on a link that was dead already.
func (c *Container) dieLocked(cause error) (lost []*pendingCall, died bool) {
	if c.cause != nil {
		return nil, false
	}
	c.endStreamsLocked(nil)
	c.cause = cause
	for _, p := range slices.Concat(c.waiting, slices.Collect(maps.Values(c.pending))) {
		if p.claimLocked() {
			lost = append(lost, p)
		}
	}
	c.waiting = nil
	clear(c.pending)
	if c.alarm != nil {
		c.alarm.Stop()
	}
	for _, s := range c.sessions {
		s.endLocked(cause)
	}
	clear(c.sessions)
	c.outbox, c.data = nil, nil
	close(c.dead)
	return lost, true
}

func (c *Container) tell(cause error, lost []*pendingCall) {
	level := zerolog.WarnLevel
	if errors.Is(cause, call.ErrClosed) {
		level = zerolog.DebugLevel
	}
	c.log.WithLevel(level).Str("reason", cause.Error()).Int("calls", len(lost)).Msg("container ended")
	for _, p := range lost {
		p.complete(outcome{err: &call.LostError{Started: p.sent, Cause: cause}})
	}
}

// signal leaves an element in a channel of one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
