package daemon

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	headerTime = 10 * time.Second // for a client to send the header of its request
	readTime   = 30 * time.Second // and the rest of the request; package rpc has a rule of its own for scripts
	writeTime  = time.Minute      // for a client to take an answer; likewise
	idleTime   = 2 * time.Minute  // for which a connection stays open between requests
	maxHeader  = 16 << 10         // bytes of a header; it takes four times as much memory, before any credential is checked

	adminConnections = 100 // to the admin address
)

// newHTTPServer makes a server with the limits that hold at every address.
func newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
}

// endOfBody removes the deadline for reading from requests without a body. When it passes, net/http assumes that the client has
// disconnected, and ends the context of the request.
func endOfBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		}
		next.ServeHTTP(w, r)
	})
}

// A limitedListener closes a connection at once if there are too many, before it takes memory. The handler's bound is lower, so that a
// refusal by HTTP is the usual one.
type limitedListener struct {
	net.Listener
	most   int64
	open   atomic.Int64
	log    zerolog.Logger
	logged time.Time // for Accept, which one goroutine calls
}

func limitListener(l net.Listener, connections int, log zerolog.Logger) net.Listener {
	return &limitedListener{Listener: l, most: int64(connections + connections/4 + 100), log: log}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return &limitedConn{Conn: conn, free: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = conn.Close()
		if now := time.Now(); now.Sub(l.logged) > time.Minute {
			l.logged = now
			l.log.Warn().Int64("connections", l.most).Msg("connections closed: there are far too many")
		}
	}
}

// A limitedConn frees its place once.
type limitedConn struct {
	net.Conn
	free func()
}

func (c *limitedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// NetConn returns the connection below. nonblock.Under uses it.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

// CloseWrite is for net/http, which calls it so that the client can read the last reply.
func (c *limitedConn) CloseWrite() error {
	if half, is := c.Conn.(interface{ CloseWrite() error }); is {
		return half.CloseWrite()
	}
	return nil
}
