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

// helloTime bounds the wait for an agent's hello where the context has no earlier end. A cold
// container on a busy machine takes a second or two.
const helloTime = 30 * time.Second

// A Container is a running agent. Its methods may be called from any goroutine.
type Container struct {
	link     *link
	agent    Hello
	calls    *calls
	sessions *sessions
	streams  *streams
	done     chan struct{} // closed when nothing is left
	killErr  error         // what ending the process came to; valid once done is closed
}

// Open speaks the first words of the link over p and returns when the agent has answered them. When
// that fails, or ctx ends before, p is killed.
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

// greet exchanges hellos. Should it fail, the process may still be waiting in a Read or Write that
// only its end frees, so greet ends it.
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
		_ = l.process.Kill() // Open asks again, and gets the same answer
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
	// An agent that died takes no hello, but what it left to read says why.
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

// run owns the link. It starts the goroutines that a container has for its whole life, and ends what there is when the link
// is dead.
//
//	run
//	  reader.read               returns what the link died of
//	  health.watch              ends a silent agent
//	  bury                      completes the calls that are lost, ends sessions and streams
//	  Process.Kill
//	  link.write                goroutine, where a batch was not the last one
//	  stream.run                goroutine of each stream
//	calls.checkDue              a timer's
//	session.checkClosed         a timer's
//
// What a call does is told at calls and at reader.read.
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

// bury ends everything that was under way on a link that is dead.
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

// ID names the container as its driver's tools do.
func (c *Container) ID() string { return c.link.process.ID() }

// Agent is what the agent said about itself.
func (c *Container) Agent() Hello { return c.agent }

// Done is closed as soon as the container takes no calls any more, for whatever reason; Close waits
// until nothing of it is left.
func (c *Container) Done() <-chan struct{} { return c.link.dead }

// Close ends the container and waits until nothing of it is left. Calls in flight get a LostError
// with ErrClosed as its cause. It may be called more than once, but not by a Done.
func (c *Container) Close() error {
	c.link.fail(call.ErrClosed)
	<-c.done
	return c.killErr
}

// Start starts a call. It waits for nobody: a call beyond Concurrency is sent when the agent has answered another.
//
// Done gets the result, a *Failure where the script came to no value, or a *LostError where the container died. A
// cancelled call is done within 50 ms or so. The agent is told to stop it, and its slot is free once the agent has. A
// call, or a part of its bundle, that is too long for a frame fails with LimitExceeded. Nothing of the call's Client
// runs any more when Done is called.
func (c *Container) Start(job *call.Call, done call.Done) call.Running {
	p := &pendingCall{calls: c.calls, job: job, done: done}
	c.calls.start(p)
	return p
}

// OpenSession evaluates job.Script, of which it takes code or files (or job.Bundle), file, globals,
// language and secrets, and keeps the context. It starts the call as Start does, and has its errors; a context
// whose evaluation failed is not kept. job.Client serves the evaluation alone.
//
// The session lives until it is closed, a call in it ends it, or the container dies. Its calls count
// as calls of the container while they run.
func (c *Container) OpenSession(job *call.Call, done func(call.Session, call.Result, error)) call.Running {
	s := &openedSession{session: newSession(c.sessions), calls: c.calls}
	p := &pendingCall{calls: c.calls, job: job, session: s.session, opens: true}
	p.done = func(result call.Result, err error) {
		if err == nil {
			done(s, result, nil)
			return
		}
		if p.wasStopped() {
			s.Close() // the agent may have opened it before it saw the cancel
		}
		done(nil, result, err)
	}
	c.calls.start(p)
	return p
}

// An openedSession is a session that calls can be started in.
type openedSession struct {
	*session
	calls *calls
}

// Start starts a call in the session. It is for when the call before is done, and an error until then. Where the call
// before was cancelled and the agent has not answered it, the new one waits for that.
func (s *openedSession) Start(job *call.Call, done call.Done) call.Running {
	p := &pendingCall{calls: s.calls, job: job, done: done, session: s.session}
	s.calls.start(p)
	return p
}

// Done is closed when the session's worker is gone: by the agent's word, or with the container.
func (s *openedSession) Done() <-chan struct{} { return s.done }

// Close refuses calls from now on and has the agent end the session. An agent that does not is ended.
func (s *openedSession) Close() {
	if s.close() {
		s.calls.startWaiting() // a call that waits in the session is over
	}
}
