package containers

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/nonblock"
)

// A reader reads the agent's frames and handles them. Nothing that it calls waits.
type reader struct {
	link     *link
	calls    *calls
	sessions *sessions
	streams  *streams
	frames   *frameBuffer
	pipe     Pipe            // read in place of the process; nil if the process is read
	gone     <-chan struct{} // closed when the agent seems to have ended; see Piped

	mu   sync.Mutex // guards what follows, and the read deadline of pipe
	over bool       // pipe is no longer read
}

// read handles frames until the agent breaks a rule of the link or the link ends. It returns why. After the end of a pipe it
// reads the process, which returns the reason.
//
//	read
//	  nonblock.Read
//	    Took
//	      frameBuffer.next
//	      handle
//	        answer                   result, failure
//	          outcomeOf
//	          calls.answered           the slot is free
//	          calls.startWaiting       writes the calls that waited for it
//	          pendingCall.complete     call.Done
//	        callbacks.print          print
//	        callbacks.start          callback; a goroutine asks the client and writes the reply
//	        sessions.ended           ended
//	        link.pong                pong
//	        streams.admit            open; stream.run is a goroutine
//	        streams.dispatch         data, credit, finish, abort
func (r *reader) read() error {
	r.frames.limit = r.link.limits.frameLimit()
	if err := r.Took(0); err != nil { // frames that came with the hello
		return err
	}
	if r.pipe != nil {
		err := nonblock.Read(r.pipe, r)
		if errors.Is(err, errProtocol) {
			return err
		}
		r.pipeIsOver()
	}
	err := nonblock.Read(r.link.process, r)
	switch {
	case errors.Is(err, errProtocol):
		return err
	case err == io.EOF && r.frames.partial():
		err = io.ErrUnexpectedEOF
	}
	return endOf(err)
}

// lookForEnd makes read look for an end of the pipe that it may have missed.
func (r *reader) lookForEnd() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		_ = r.pipe.SetReadDeadline(time.Unix(1, 0))
	}
}

// pipeIsOver clears the read deadline of the pipe. The process may read the same pipe, which is still open if read stopped
// because of the deadline.
func (r *reader) pipeIsOver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	_ = r.pipe.SetReadDeadline(time.Time{})
}

// Space returns the buffer for the next bytes.
func (r *reader) Space() []byte { return r.frames.Space() }

// Took handles the frames that are complete after n more bytes.
func (r *reader) Took(n int) error {
	r.frames.add(n)
	r.link.activity.note()
	for {
		f, ok, err := r.frames.next()
		if err != nil {
			return fmt.Errorf("%w: %w", errProtocol, err)
		}
		if !ok {
			return nil
		}
		if err := r.handle(f); err != nil {
			return err
		}
	}
}

// handle handles a frame. It returns an error if the agent broke a rule of the link.
func (r *reader) handle(f frame) error {
	switch f.kind {
	case kindPrint:
		return r.print(f)
	case kindCallback:
		return r.callback(f)
	case kindEnded:
		return r.ended(f)
	case kindPong:
		return r.pong(f)
	case kindOpen:
		return r.open(f)
	case kindData:
		return r.data(f)
	case kindCredit:
		return r.credit(f)
	case kindFinish:
		return r.streamFrame(f, (*stream).finishedLocked)
	case kindAbort:
		return r.streamFrame(f, (*stream).abortedLocked)
	default:
		return r.answer(f)
	}
}

func (r *reader) answer(f frame) error {
	h, err := decodeAnswer(&f, r.link.limits)
	if err != nil {
		return err
	}
	o := outcomeOf(&f, &h, r.link.limits)
	p, claimed := r.calls.answered(h.ID, errors.Is(o.err, call.ErrNoSession))
	if p == nil {
		return fmt.Errorf("%w: an answer to call %d, which waits for none", errProtocol, h.ID)
	}
	if p.bundle != "" {
		r.calls.bundles.release(p.bundle)
	}
	r.calls.startWaiting()
	if claimed {
		if o.err == nil {
			o.result.Container = r.link.process.ID()
		}
		p.complete(o)
	}
	return nil
}

func (r *reader) print(f frame) error {
	var h printHeader
	if err := f.decode(r.link.limits, &h); err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	p, err := r.calls.find(h.ID)
	if p == nil {
		return err
	}
	return p.callbacks.print(h.Level, f.body)
}

func (r *reader) callback(f frame) error {
	var h callbackHeader
	if err := f.decode(r.link.limits, &h); err != nil {
		return err
	}
	p, err := r.calls.find(h.ID)
	if p == nil {
		return err
	}
	return p.callbacks.start(h, f.lastingBody())
}

func (r *reader) ended(f frame) error {
	var h sessionHeader
	if err := f.decode(r.link.limits, &h); err != nil {
		return err
	}
	s, err := r.sessions.ended(h.Session)
	if err != nil {
		return err
	}
	if s.bundle != "" {
		r.calls.bundles.release(s.bundle)
	}
	r.calls.startWaiting() // the calls that wait in the session are over
	return nil
}

func (r *reader) pong(f frame) error {
	if err := f.decode(r.link.limits, &struct{}{}); err != nil {
		return err
	}
	return r.link.pong()
}

func (r *reader) open(f frame) error {
	var h openHeader
	if err := f.decode(r.link.limits, &h); err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	p, err := r.calls.find(h.ID)
	if err != nil {
		return err
	}
	if p == nil {
		return fmt.Errorf("%w: a stream of call %d, which has been answered", errProtocol, h.ID)
	}
	s, err := r.streams.admit(&p.connections, h)
	if s != nil {
		go s.run(h.Host, h.Port)
	}
	return err
}

func (r *reader) data(f frame) error {
	number, data, err := cutData(f)
	if err != nil {
		return err
	}
	return r.streams.dispatch(f.kind, number, len(data), func(s *stream) error { return s.receiveLocked(data) })
}

func (r *reader) credit(f frame) error {
	var h creditHeader
	if err := f.decode(r.link.limits, &h); err != nil {
		return err
	}
	return r.streams.dispatch(f.kind, h.Stream, 1, func(s *stream) error { return s.grantedLocked(h.Bytes) })
}

func (r *reader) streamFrame(f frame, take func(*stream) error) error {
	var h streamHeader
	if err := f.decode(r.link.limits, &h); err != nil {
		return err
	}
	return r.streams.dispatch(f.kind, h.Stream, 1, take)
}
