package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// helloTime bounds the wait for an agent's hello if the context does not end sooner. A cold container on a busy machine
// takes a second or two.
const helloTime = 30 * time.Second

// A Container is a running agent. Its methods may be called from any goroutine.
type Container struct {
	link     *link
	agent    Hello
	calls    *calls
	sessions *sessions
	streams  *streams
	done     chan struct{} // closed when nothing is left
	killErr  error         // the error of Process.Kill; valid after done is closed
}

// Open exchanges hellos with the agent in p and returns a container that is ready for calls. If that fails or ctx ends
// first, it kills p and returns the error.
func Open(ctx context.Context, p Process, limits Limits, log zerolog.Logger) (*Container, error) {
	l := newLink(p, &limits, log.With().Str("container", p.ID()).Logger())
	frames := newFrameBuffer(maxHello)
	agent, err := greet(ctx, l, frames)
	if err != nil {
		err = fmt.Errorf("container did not become ready: %w", err)
		if killErr := p.Kill(); killErr != nil {
			err = fmt.Errorf("%w; nor could it be removed: %w", err, killErr)
		}
		return nil, err
	}
	r := &reader{link: l, frames: frames}
	var to io.Writer
	if piped, ok := p.(Piped); ok {
		r.pipe, to, r.gone = piped.Pipes()
	}
	if to == nil {
		to = p
	}
	l.startWriting(to)
	c := &Container{
		link:     l,
		agent:    agent,
		sessions: &sessions{link: l, live: make(map[uint64]*session)},
		streams:  newStreams(l),
		done:     make(chan struct{}),
	}
	c.calls = newCalls(l, c.sessions, c.streams)
	r.calls, r.sessions, r.streams = c.calls, c.sessions, c.streams
	go c.run(r)
	return c, nil
}

// greet exchanges hellos. If ctx ends first, it kills the process, because a pending Read or Write returns only then.
func greet(ctx context.Context, l *link, frames *frameBuffer) (Hello, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, helloTime, fmt.Errorf("no hello from the agent in %v", helloTime))
	defer cancel()
	var agent Hello
	var err error
	greeted := make(chan struct{})
	go func() {
		defer close(greeted)
		agent, err = exchangeHellos(l, frames)
	}()
	select {
	case <-greeted:
		return agent, err
	case <-ctx.Done():
		_ = l.process.Kill() // Open calls Kill, too, which returns the same error
		<-greeted
		return Hello{}, fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
}

func exchangeHellos(l *link, frames *frameBuffer) (Hello, error) {
	hello, err := encodeHello(l.limits)
	if err != nil {
		return Hello{}, err
	}
	_, writeErr := l.process.Write(hello)
	// If the agent died, the write fails. What it wrote before it died says why, so it is read first.
	f, err := frames.read(l.process)
	if err == io.EOF && writeErr != nil {
		err = writeErr
	}
	if err != nil {
		return Hello{}, endOf(err)
	}
	l.activity.note()
	return decodeHello(f)
}

// run owns the link. It starts the goroutines that a container has for its whole life. When the link is dead, it ends
// everything that is left.
//
//	run
//	  reader.read               returns why the link died
//	  health.watch              ends a silent agent
//	  bury                      completes the calls that are lost, ends sessions and streams
//	  Process.Kill
//	  link.write                goroutine, while batches are to be written
//	  stream.run                goroutine of each stream
//	calls.checkDue              called by a timer
//	session.checkClosed         called by a timer
//
// The types calls and reader describe the way of a call.
func (c *Container) run(r *reader) {
	var both sync.WaitGroup
	both.Go(func() { c.link.fail(r.read()) })
	both.Go((&health{link: c.link, calls: c.calls}).watch)
	select {
	case <-c.link.dead:
	case <-r.gone:
		r.lookForEnd()
		<-c.link.dead
	}
	c.bury()
	c.killErr = c.link.process.Kill()
	if c.killErr != nil {
		c.link.log.Error().Err(c.killErr).Msg("container could not be removed")
	}
	both.Wait()
	c.link.writing.Wait()
	c.streams.running.Wait()
	close(c.done)
}

// bury ends the calls, sessions and streams of a dead link.
func (c *Container) bury() {
	l := c.link
	l.mu.Lock()
	cause := l.cause
	c.streams.closeAllLocked()
	lost := c.calls.loseAllLocked()
	c.sessions.endAllLocked(cause)
	l.mu.Unlock()
	level := zerolog.WarnLevel
	if errors.Is(cause, call.ErrClosed) {
		level = zerolog.DebugLevel
	}
	l.log.WithLevel(level).Str("reason", cause.Error()).Int("calls", len(lost)).Msg("container ended")
	for _, p := range lost {
		p.complete(outcome{err: &call.LostError{Started: p.sent, Cause: cause}})
	}
}

// ID returns the container's name, which is also its name in the driver's tools.
func (c *Container) ID() string { return c.link.process.ID() }

// Agent returns the agent's hello.
func (c *Container) Agent() Hello { return c.agent }

// Done returns a channel that is closed as soon as the container takes no more calls, for whatever reason. Close waits until
// nothing of the container is left.
func (c *Container) Done() <-chan struct{} { return c.link.dead }

// Close ends the container and waits until nothing of it is left. Calls in flight fail with a LostError whose cause is
// ErrClosed. Close may be called more than once. A call.Done must not call it, because Close would wait for that Done.
func (c *Container) Close() error {
	c.link.fail(call.ErrClosed)
	<-c.done
	return c.killErr
}

// Start starts a call without waiting. A call beyond Concurrency is sent when the agent has answered another call.
//
// done gets the result, a *call.Failure if the script failed, or a *call.LostError if the container died. A cancelled call
// is done within about 50 ms. The agent is told to stop it, and its slot is free after the agent has stopped it. If the call
// or a part of its bundle is too long for a frame, it fails with LimitExceeded. When done is called, nothing of the call's
// Client runs any more.
func (c *Container) Start(job *call.Call, done call.Done) call.Running {
	p := &pendingCall{calls: c.calls, job: job, done: done}
	c.calls.start(p)
	return p
}

// OpenSession evaluates job.Script and keeps the context as a session. It uses code or files (or job.Bundle), file, globals,
// language and secrets of the script. The call starts as in Start and has the same errors. If the evaluation fails, there is
// no session. job.Client serves the evaluation only.
//
// The session lives until it is closed, a call in it ends it, or the container dies. A call in it counts as a call of the
// container.
func (c *Container) OpenSession(job *call.Call, done func(call.Session, call.Result, error)) call.Running {
	s := &openedSession{session: newSession(c.sessions), calls: c.calls}
	p := &pendingCall{calls: c.calls, job: job, session: s.session, opens: true}
	p.done = func(result call.Result, err error) {
		if err == nil {
			done(s, result, nil)
			return
		}
		if p.wasStopped() {
			s.Close() // the agent may have opened the session before it saw the cancel
		}
		done(nil, result, err)
	}
	c.calls.start(p)
	return p
}

// An openedSession is a session in which calls can be started.
type openedSession struct {
	*session
	calls *calls
}

// Start starts a call in the session. The call fails if the call before is not done. If the call before was cancelled and
// the agent has not answered it yet, the new call waits for that answer.
func (s *openedSession) Start(job *call.Call, done call.Done) call.Running {
	p := &pendingCall{calls: s.calls, job: job, done: done, session: s.session}
	s.calls.start(p)
	return p
}

// Done returns a channel that is closed when the session's worker has ended, because the agent said so or with the
// container.
func (s *openedSession) Done() <-chan struct{} { return s.done }

// Close refuses new calls and tells the agent to end the session. An agent that does not end it is killed.
func (s *openedSession) Close() {
	if s.close() {
		s.calls.startWaiting() // a call that waits in the session is over
	}
}
