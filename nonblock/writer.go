// Package nonblock reads and writes pipes and sockets with few system calls and wake-ups.
//
// A Writer lets any goroutine write in place, without a goroutine for writing and without waiting for the peer. Read passes
// data that arrives to a Sink, with one read for each arrival. Packages net and os need two reads, and the second one finds
// nothing.
//
// Small reads and writes bypass the Go scheduler. They never wait. Telling the scheduler of them wakes its monitor thread,
// which takes longer than the system call on a daemon that is idle in between.
package nonblock

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// quick bounds the bytes of a system call that bypasses the scheduler. Such a call takes about ten microseconds.
	quick = 32 << 10

	// gathered bounds the pieces of one write. The kernel takes 1,024.
	gathered = 64
)

// A Writer writes to a pipe or a socket and never waits for its reader. Bytes that the descriptor does not take at once go
// to a backlog, which a goroutine writes. Its methods may be called from any goroutine. Nothing else may write to the same
// descriptor.
type Writer struct {
	to  io.Writer
	raw syscall.RawConn // nil: everything goes to the backlog

	mu      sync.Mutex // guards what follows, and the order of writes; no write under it waits
	backlog net.Buffers
	bytes   int  // in backlog and in the write under way
	writing bool // the goroutine of the backlog runs
	err     error
	drained func()

	try     func(fd uintptr) bool // attempt, made once
	pieces  [][]byte              // of the attempt under way
	vectors [gathered]unix.Iovec
	wrote   int
	errno   syscall.Errno
	single  [1][]byte
}

// NewWriter returns a Writer for an *os.File of a pipe or a net.Conn. It also takes any other io.Writer, to which all data
// goes through the backlog.
func NewWriter(to io.Writer) *Writer {
	w := &Writer{to: to, raw: descriptor(to)}
	w.try = w.attempt
	return w
}

// AfterDrain makes the goroutine of the backlog call f once when the backlog is empty, or dropped because a write failed. If
// the backlog is empty now, it returns false and does not call f. Only one f can wait; a new one replaces it.
func (w *Writer) AfterDrain(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing {
		w.drained = f
	}
	return w.writing
}

// Backlog returns the number of bytes that wait for the peer.
func (w *Writer) Backlog() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

// Write writes p. Bytes that the descriptor does not take at once go to the backlog. Write does not retain p. Its error is
// that of an earlier write or of this one. After an error the Writer writes nothing more.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.single[0] = p
	err := w.writeLocked(w.single[:])
	w.single[0] = nil
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAll writes several pieces, with one system call for up to 64 of them. Its error is that of Write.
func (w *Writer) WriteAll(pieces [][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writeLocked(pieces)
}

func (w *Writer) writeLocked(pieces [][]byte) error {
	for len(pieces) > 0 && w.err == nil && !w.writing && w.raw != nil {
		part := pieces[:min(len(pieces), gathered)]
		size := 0
		for _, piece := range part {
			size += len(piece)
		}
		n := w.tryLocked(part, size)
		if n < size {
			w.keepLocked(part, n)
			part = nil
		}
		pieces = pieces[min(len(pieces), gathered):]
	}
	if w.err == nil {
		w.keepLocked(pieces, 0)
	}
	return w.err
}

// tryLocked writes as much as the descriptor takes at once and returns the number of bytes. It returns size after an error,
// which it puts into w.err.
func (w *Writer) tryLocked(pieces [][]byte, size int) int {
	w.pieces, w.wrote, w.errno = pieces, 0, 0
	defer func() { w.pieces = nil }()
	if size == 0 {
		return 0
	}
	if err := w.raw.Write(w.try); err != nil {
		w.err = err
		return size
	}
	if w.errno != 0 && w.errno != unix.EAGAIN {
		w.err = os.NewSyscallError("write", w.errno)
		return size
	}
	return w.wrote
}

// attempt is the callback of RawConn.Write. It always returns true, so that RawConn.Write does not wait.
func (w *Writer) attempt(fd uintptr) bool {
	count, size := 0, 0
	for _, piece := range w.pieces {
		if len(piece) > 0 {
			w.vectors[count].Base = &piece[0]
			w.vectors[count].SetLen(len(piece))
			count++
			size += len(piece)
		}
	}
	for {
		var n int
		n, w.errno = writeFD(fd, w.vectors[:count], size)
		if w.errno == unix.EINTR {
			continue
		}
		if w.errno == 0 {
			w.wrote = n
		}
		clear(w.vectors[:count])
		return true
	}
}

// keepLocked copies pieces to the backlog, except the first skip bytes.
func (w *Writer) keepLocked(pieces [][]byte, skip int) {
	size := -skip
	for _, piece := range pieces {
		size += len(piece)
	}
	if size <= 0 {
		return
	}
	rest := make([]byte, 0, size)
	for _, piece := range pieces {
		dropped := min(skip, len(piece))
		skip -= dropped
		rest = append(rest, piece[dropped:]...)
	}
	w.backlog = append(w.backlog, rest)
	w.bytes += size
	if !w.writing {
		w.writing = true
		go w.drain()
	}
}

// drain writes the backlog until it is empty or the descriptor fails.
func (w *Writer) drain() {
	for {
		w.mu.Lock()
		if len(w.backlog) == 0 || w.err != nil {
			w.backlog, w.bytes, w.writing = nil, 0, false
			drained := w.drained
			w.drained = nil
			w.mu.Unlock()
			if drained != nil {
				drained()
			}
			return
		}
		backlog := w.backlog
		w.backlog = nil
		w.mu.Unlock()
		n, err := backlog.WriteTo(w.to)
		w.mu.Lock()
		w.bytes -= int(n)
		if err != nil && w.err == nil {
			w.err = err
		}
		w.mu.Unlock()
	}
}

// descriptor returns the RawConn of a pipe or socket. It returns nil if there is no descriptor or it is not in non-blocking
// mode.
func descriptor(of any) syscall.RawConn {
	conn, ok := of.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	prompt := false
	err = raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		prompt = err == nil && flags&unix.O_NONBLOCK != 0
	})
	if err != nil || !prompt {
		return nil
	}
	return raw
}
