package daemon

import (
	"context"
	"net"
	"sync"
)

// A MemoryListener accepts connections from inside the process only. Its methods may be called from any goroutine.
type MemoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

// NewMemoryListener makes a listener for Options.Listener.
func NewMemoryListener() *MemoryListener {
	l := &MemoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// Accept waits for a Dial. After Close its error is net.ErrClosed.
func (l *MemoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and Dial return net.ErrClosed. It may be called again.
func (l *MemoryListener) Close() error {
	l.close()
	return nil
}

// Addr returns an address of the network "memory".
func (l *MemoryListener) Addr() net.Addr { return memoryAddress{} }

// Dial connects to the listener. It has the form of http.Transport.DialContext, and ignores network and address.
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
