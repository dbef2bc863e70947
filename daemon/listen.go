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

// newHTTPServer has the limits that every address has. Its connections take no more than a header and a
// deadline each, whatever their clients do.
func newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
}

// endOfBody takes the deadline for reading away where nothing is left to read: when it passes, net/http
// takes the client for gone, and ends what runs for it.
func endOfBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		}
		next.ServeHTTP(w, r)
	})
}

// A limitedListener closes connections at once that are too many, before anything is kept for them. The
// handler's bound is lower, so that there is room to say so by HTTP.
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

// NetConn is for those who look for the connection below.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

// CloseWrite is for net/http, whose last words a client could not read otherwise.
func (c *limitedConn) CloseWrite() error {
	if half, is := c.Conn.(interface{ CloseWrite() error }); is {
		return half.CloseWrite()
	}
	return nil
}
