package containers

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/nonblock"
)

// pingFrame is always the same.
const pingFrame = "\x00\x00\x00\x02\x0f{}"

// maxBatches is how often a goroutine writes in place before it leaves the rest to another one: it has other things to do,
// and streams may go on for ever.
const maxBatches = 4

// A link is what the parts of a container share: the process, the limits, the lock, the outbox, and the reason why it
// is dead.
type link struct {
	process  Process
	limits   *Limits
	log      zerolog.Logger
	activity activity
	writer   *nonblock.Writer
	dead     chan struct{}  // closed by fail
	writing  sync.WaitGroup // goroutines of write; none is added on a dead link

	// mu guards what follows, and the state of calls, sessions and streams. It is released by unlock where something may
	// have been posted.
	mu     sync.Mutex
	cause  error // why the link is dead; nil while it lives
	pinged bool  // the agent owes a pong
	outbox outbox
	busy   bool // a goroutine writes; only that uses batch
	full   bool // the agent has not taken all that was written; drained will be called
	batch  batch

	onDrained func() // drained, made once
}

func newLink(p Process, limits *Limits, log zerolog.Logger) *link {
	return &link{process: p, limits: limits, log: log, activity: activity{since: time.Now()}, dead: make(chan struct{})}
}

// startWriting sets the writer that leads to the agent. It is called before anything is posted.
func (l *link) startWriting(to io.Writer) {
	l.writer = nonblock.NewWriter(&watched{to, l.fail})
	l.onDrained = l.drained
}

// fail makes the link dead. Only the first cause counts. Container.run then completes all calls.
func (l *link) fail(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = cause
		l.outbox = outbox{}
		close(l.dead)
	}
}

// lost is the error of a call that meets a dead link before anything of it was sent.
func (l *link) lost() *call.LostError {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lostLocked()
}

func (l *link) lostLocked() *call.LostError { return &call.LostError{Cause: l.cause} }

// postLocked puts a frame into the outbox. On a dead link it does nothing.
func (l *link) postLocked(o outgoing) {
	if l.cause == nil {
		l.outbox.frames = append(l.outbox.frames, o)
	}
}

// postDataLocked puts a source of data into the outbox.
func (l *link) postDataLocked(s source) {
	if l.cause == nil {
		l.outbox.data = append(l.outbox.data, s)
	}
}

// pingLocked asks the agent for a sign of life, unless it still owes one.
func (l *link) pingLocked() {
	if !l.pinged {
		l.pinged = true
		l.postLocked(outgoing{head: []byte(pingFrame)})
	}
}

// pong notes the agent's answer to a ping. A pong without a ping breaks the rules.
func (l *link) pong() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.pinged {
		return fmt.Errorf("%w: a pong without a ping", errProtocol)
	}
	l.pinged = false
	return nil
}

// unlock releases the lock, and writes the frames in the outbox unless another goroutine does. It does not wait for the agent. The
// caller holds no other lock.
func (l *link) unlock() {
	if l.busy || l.full || l.outbox.empty() {
		l.mu.Unlock()
		return
	}
	l.busy = true
	for range maxBatches {
		if !l.writeBatchLocked() {
			l.busy = false
			l.mu.Unlock()
			return
		}
	}
	l.writing.Add(1)
	l.mu.Unlock()
	go l.write()
}

// flush writes the frames in the outbox. It is for callers that have posted while they held another lock.
func (l *link) flush() {
	l.mu.Lock()
	l.unlock()
}

// write writes batches until the outbox is empty or the agent takes no more.
func (l *link) write() {
	defer l.writing.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writeBatchLocked() {
	}
	l.busy = false
}

// writeBatchLocked writes a batch, without the lock, and reports whether there is more that may be written.
func (l *link) writeBatchLocked() bool {
	l.outbox.gatherLocked(&l.batch)
	l.mu.Unlock()
	err := l.writer.WriteAll(l.batch.pieces)
	l.batch.written()
	if err != nil {
		l.fail(fmt.Errorf("%w: writing to it: %w", errAgentEnded, err))
	}
	l.mu.Lock()
	l.full = l.writer.AfterDrain(l.onDrained)
	return !l.full && !l.outbox.empty()
}

// drained is called when the agent has taken what was written.
func (l *link) drained() {
	l.mu.Lock()
	l.full = l.writer.AfterDrain(l.onDrained) // another goroutine may have written meanwhile
	l.unlock()
}

// A watched passes on writes and reports their errors to fail, also those of writes that nonblock.Writer makes later.
type watched struct {
	to   io.Writer
	fail func(error)
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if err != nil {
		w.fail(fmt.Errorf("%w: writing to it: %w", errAgentEnded, err))
	}
	return n, err
}

// SyscallConn gives the Writer the descriptor.
func (w *watched) SyscallConn() (syscall.RawConn, error) {
	if conn, ok := w.to.(syscall.Conn); ok {
		return conn.SyscallConn()
	}
	return nil, syscall.EINVAL
}

// activity knows when bytes of the agent were last read. Its clock starts with the container.
type activity struct {
	since time.Time
	at    atomic.Int64 // ns
}

// note notes that bytes were read now.
func (a *activity) note() { a.at.Store(int64(a.now())) }

// last returns when bytes were last read.
func (a *activity) last() time.Duration { return time.Duration(a.at.Load()) }

func (a *activity) now() time.Duration     { return time.Since(a.since) }
func (a *activity) silence() time.Duration { return a.now() - a.last() }

var errAgentEnded = errors.New("the agent ended")

// endOf returns the error of a link whose read failed. The text of an end of file would add nothing.
func endOf(err error) error {
	if err == io.EOF {
		return errAgentEnded
	}
	return fmt.Errorf("%w: %w", errAgentEnded, err)
}
