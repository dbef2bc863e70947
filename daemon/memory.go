package daemon

import (
	"context"
	"net"
	"sync"
)

// A MemoryListener takes connections from inside the process only.
type MemoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func NewMemoryListener() *MemoryListener {
	l := &MemoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *MemoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *MemoryListener) Close() error {
	l.close()
	return nil
}

func (l *MemoryListener) Addr() net.Addr { return memoryAddress{} }

// Dial fits http.Transport; there is one place to get to, whatever the address says.
func (l *MemoryListener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryAddress struct{}

func (memoryAddress) Network() string { return "memory" }
func (memoryAddress) String() string  { return "localhost" }
