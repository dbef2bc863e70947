package nonblock

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Conn is a net.Conn whose Write never waits for its peer after Prompt was called. So any goroutine can write through a
// library that frames and writes, such as one for WebSockets or TLS, and does not block. Close drops the backlog.
type Conn struct {
	net.Conn
	writer *Writer
	reads  reads
	prompt atomic.Bool

	mu     sync.Mutex // guards what follows
	corked int
	held   *[]byte // written while corked, from the pool; nil: nothing
}

// Listen returns a listener that accepts Conns. Other layers, such as TLS, go on top of it; Under returns the Conn below
// them.
func Listen(inner net.Listener) net.Listener { return listener{inner} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return NewConn(conn), nil
}

// Under returns the Conn below a connection, nil if there is none. It follows the method NetConn, which tls.Conn has, for
// example.
func Under(conn net.Conn) *Conn {
	for {
		switch c := conn.(type) {
		case *Conn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

// pool holds buffers of corked connections. Most connections are idle and need no buffer.
var pool = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// NewConn returns a Conn for a connection that nobody else writes to. Its Write waits for the peer until Prompt is called.
func NewConn(under net.Conn) *Conn {
	c := &Conn{Conn: under, writer: NewWriter(under)}
	c.reads.raw = descriptor(under)
	c.reads.once = c.reads.attempt
	return c
}

// Prompt makes Write never wait from now on. It may not be called during a Write.
func (c *Conn) Prompt() { c.prompt.Store(true) }

// CloseWrite tells the peer that no more data follows.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Backlog returns the number of bytes that wait for the peer.
func (c *Conn) Backlog() int { return c.writer.Backlog() }

// AfterDrain calls f once when the backlog is empty, or dropped because the connection failed. If the backlog is empty now,
// it returns false and does not call f. Only one f can wait; a new one replaces it.
func (c *Conn) AfterDrain(f func()) bool { return c.writer.AfterDrain(f) }

// Write writes p. Bytes that the peer does not take at once go to the backlog. Write does not retain p.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.prompt.Load() {
		return c.Conn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corked > 0 {
		if c.held == nil {
			c.held = pool.Get().(*[]byte)
		}
		*c.held = append(*c.held, p...)
		return len(p), nil
	}
	return c.writer.Write(p)
}

// Cork collects the written data until Uncork, which writes it in one system call. Pairs of Cork and Uncork may be nested.
func (c *Conn) Cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked++
}

// Uncork ends a Cork. Its error is that of Write.
func (c *Conn) Uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corked--; c.corked > 0 || c.held == nil {
		return nil
	}
	_, err := c.writer.Write(*c.held)
	if cap(*c.held) <= quick {
		*c.held = (*c.held)[:0]
		pool.Put(c.held)
	}
	c.held = nil
	return err
}

// Read reads as net.Conn does. One goroutine reads at a time.
func (c *Conn) Read(p []byte) (int, error) {
	if c.reads.raw == nil || len(p) == 0 || len(p) > quick {
		return c.Conn.Read(p)
	}
	return c.reads.read(p)
}

// reads is the reading half of a Conn. once is made once, so that a read allocates nothing.
type reads struct {
	raw   syscall.RawConn // nil: there is no descriptor to read from
	once  func(fd uintptr) bool
	into  []byte
	n     int
	errno syscall.Errno
}

func (r *reads) read(p []byte) (int, error) {
	r.into = p
	err := r.raw.Read(r.once)
	r.into = nil
	switch {
	case err != nil:
		return 0, err
	case r.errno != 0:
		return 0, os.NewSyscallError("read", r.errno)
	case r.n == 0:
		return 0, io.EOF
	default:
		return r.n, nil
	}
}

// attempt reads once. It returns false if there is no data yet, so that the caller waits.
func (r *reads) attempt(fd uintptr) bool {
	for {
		n, errno := readFD(fd, r.into)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		r.n, r.errno = n, errno
		return true
	}
}
