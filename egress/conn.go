package egress

import (
	"net"
	"sync"
	"sync/atomic"
)

// Counted returns a connection that calls closed once, when it is closed, with the bytes that went each way.
func Counted(c *net.TCPConn, closed func(sent, received int64)) net.Conn {
	return &counted{TCPConn: c, closed: closed}
}

type counted struct {
	*net.TCPConn
	sent, received atomic.Int64
	once           sync.Once
	closed         func(sent, received int64)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func (c *counted) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(func() { c.closed(c.sent.Load(), c.received.Load()) })
	return err
}
