package rpc

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"
)

// A socket is the wire of a WebSocket. The reader reads; a writer writes while there is something to write, and
// closes; pings go out by a timer. So one that nothing happens on has one goroutine.
type socket struct {
	conn    *websocket.Conn
	max     int64         // bytes of a frame
	grace   time.Duration // from end to abort
	out     *outbox
	log     zerolog.Logger
	ctx     context.Context
	abort   context.CancelFunc // ends the connection without a word, and with it reader and writer
	written chan struct{}      // closed when the last writer is done
	heard   atomic.Int64       // when something came last, in Unix ns
	buffer  *buffer
	pings   pings

	since atomic.Int64 // when the frame began that has not come wholly, in Unix ns; 0: there is none
	got   atomic.Int64 // bytes of it so far
}

// Bytes that a WebSocket's buffers hold. Most requests and replies are shorter, and net/http's are for headers.
const readBuffer, writeBuffer = 2 << 10, 1 << 10

// A hijacker keeps what a WebSocket is made over, and gives it smaller buffers.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacker) Hijack() (conn net.Conn, buffered *bufio.ReadWriter, err error) {
	h.conn, buffered, err = http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if buffered.Reader.Buffered() == 0 {
		buffered.Reader = bufio.NewReaderSize(h.conn, readBuffer)
	}
	buffered.Writer = bufio.NewWriterSize(h.conn, writeBuffer)
	return h.conn, buffered, nil
}

// newSocket takes a WebSocket, and what it was made over.
func newSocket(conn *websocket.Conn, under net.Conn, cfg *Config, all *buffers) *socket {
	conn.SetReadLimit(-1) // read has the limit: the library would close in front of replies still to be written
	s := &socket{
		conn:    conn,
		max:     cfg.MaxFrame,
		grace:   cfg.CloseGrace,
		log:     cfg.Log,
		written: make(chan struct{}),
	}
	s.ctx, s.abort = context.WithCancel(context.Background())
	context.AfterFunc(s.ctx, func() { _ = under.Close() }) // reads and writes have no contexts, which cost the library memory for each
	s.buffer = &buffer{all: all, evict: s.evict}
	s.out = newOutbox(cfg.MaxUnsentFrames, cfg.MaxUnsent, s.buffer, s.writer)
	s.pings.start(s, cfg.PingInterval)
	return s
}

// close waits until nothing of the socket is left. Its end must have been called.
func (s *socket) close() {
	<-s.written
	s.abort()
	_ = s.conn.CloseNow() // it is closed already, unless the writer was told to abort
	s.buffer.leave()
}

// evict makes room for others.
func (s *socket) evict(held int64) {
	s.log.Warn().Int64("held", held).Msg("client disconnected: all connections together hold too much, and this one most")
	s.abort()
}

func (s *socket) read() ([]byte, error) {
	kind, r, err := s.conn.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageText {
		s.end(websocket.StatusUnsupportedData, "frames are text")
		return nil, io.EOF
	}
	s.got.Store(0)
	s.since.Store(time.Now().UnixNano())
	l := &listener{socket: s, from: r, left: s.max + 1}
	frame, err := io.ReadAll(l)
	s.since.Store(0)
	s.buffer.change(-l.counted) // from here on it counts for the requests in it
	if err == nil && int64(len(frame)) > s.max {
		s.end(websocket.StatusMessageTooBig, fmt.Sprintf("a frame has at most %d bytes", s.max))
		err = io.EOF
	}
	return frame, err
}

// listened is how much a slow peer has to send in two ping intervals to count as alive.
const listened = 32 << 10

// A listener notes when something was read. A long frame may keep a pong waiting behind it. The
// library fills what it is given before it returns, so it gets little at a time.
type listener struct {
	socket  *socket
	from    io.Reader
	left    int64 // bytes that it may give
	counted int64 // bytes, in the socket's buffer
}

func (l *listener) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.from.Read(p[:min(int64(len(p)), listened, l.left)])
	l.left -= int64(n)
	l.socket.heard.Store(time.Now().UnixNano())
	if got := l.socket.got.Add(int64(n)); got > unnoticed {
		l.socket.buffer.change(got - l.counted)
		l.counted = got
	}
	return n, err
}

// leastRate is what a peer has to send and take on average, in bytes a second, once the first interval of a
// frame, a body or a reply is over. Each holds a connection and memory for as long as it is under way.
const leastRate = 64 << 10

// paced is how long n bytes may take.
func paced(interval time.Duration, n int64) time.Duration {
	return interval + time.Duration(n)*time.Second/leastRate
}

// lingers tells that a frame comes too slowly.
func (s *socket) lingers(interval time.Duration) bool {
	since := s.since.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > paced(interval, s.got.Load())
}

// write disconnects a client that does not read, rather than wait for it.
func (s *socket) write(frame []byte) {
	if s.ctx.Err() == nil && !s.out.add(frame) {
		s.log.Info().Msg("client disconnected: it does not read its replies")
		s.abort()
	}
}

// end closes the connection behind what is still to be written.
func (s *socket) end(code websocket.StatusCode, reason string) {
	if s.out.end(ending{code, reason}) {
		time.AfterFunc(s.grace, s.abort)
	}
}

// writer writes what there is. Frames that come when it could not write go nowhere, as the connection is gone.
func (s *socket) writer() {
	for {
		frame, end := s.out.take()
		switch {
		case frame != nil:
			if err := s.conn.Write(context.Background(), websocket.MessageText, frame); err != nil {
				s.abort()
			}
		case end != nil:
			_ = s.conn.Close(end.code, end.reason) // fails where the peer is gone, which is as well
			close(s.written)
			return
		default:
			return
		}
	}
}
