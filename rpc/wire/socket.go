// Package wire carries frames: over a WebSocket, or as the body of a POST and its reply. It reads, writes, pings, and keeps to
// byte budgets. It knows no method and no dialect.
//
// Writing never waits for the peer. The goroutine that has a frame writes it in place, with the framing of the WebSocket library,
// onto a connection that tries its descriptor once. The bytes that the descriptor does not take are a backlog, which another goroutine
// writes. Further frames wait in the outbox meanwhile. A peer whose outbox is full is disconnected.
package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/nonblock"
)

// Config bounds connections. It has no defaults of its own.
type Config struct {
	MaxFrame        int64         // bytes of a frame or a body
	MaxUnsent       int           // bytes that wait for one peer before it is disconnected
	MaxUnsentFrames int           // frames likewise
	PingInterval    time.Duration // between pings, and for the answer to one; also the time of a frame or a body beyond leastRate
	CloseGrace      time.Duration // for a peer to take its last replies and answer a close
	Budget          *Budget       // of all connections

	Log zerolog.Logger
}

// A Socket is a WebSocket. One goroutine reads. Write and End may be called from any goroutine. An idle Socket has no goroutine
// besides its reader: a timer sends pings.
type Socket struct {
	cfg      *Config
	conn     *websocket.Conn
	under    *nonblock.Conn
	ctx      context.Context
	abort    context.CancelFunc // ends the connection without a close frame, and with it the reader and the writer
	share    *Share
	outbox   outbox
	pings    pings
	closed   chan struct{} // closed when the closing was written
	resume   func()        // flush, made once
	lastRead atomic.Int64  // when bytes were read last, in Unix ns
	began    atomic.Int64  // when the frame that is being read began, in Unix ns; 0: none is
	got      atomic.Int64  // bytes of it so far
}

// Bytes that the library's buffers hold. Most requests are shorter; what it writes is gathered again below them.
const readBuffer, writeBuffer = 2 << 10, 1 << 10

// gather bounds the bytes of a frame that is copied, so that it is written together with its header and other frames.
const gather = 32 << 10

// A hijacker replaces the connection under a WebSocket by one whose Write never waits, and the buffers of net/http by smaller ones.
type hijacker struct {
	http.ResponseWriter
	conn *nonblock.Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	under, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	conn, outer := nonblock.Under(under), under
	if conn == nil {
		conn = nonblock.NewConn(under)
		outer = conn
	}
	h.conn = conn
	if buffered.Reader.Buffered() == 0 {
		buffered.Reader = bufio.NewReaderSize(outer, readBuffer)
	}
	buffered.Writer = bufio.NewWriterSize(outer, writeBuffer)
	conn.Prompt()
	return outer, buffered, nil
}

// Accept upgrades a request whose origin the caller has checked. If it returns an error it has answered the request. The caller serves
// the Socket, and then calls End and Close.
func Accept(w http.ResponseWriter, r *http.Request, cfg *Config) (*Socket, error) {
	h := &hijacker{ResponseWriter: w}
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"jsd"}, // never a subprotocol that carries a token
		InsecureSkipVerify: true,            // the caller has checked the Origin
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1) // Read has the limit: the library would close in front of replies still to be written
	s := &Socket{cfg: cfg, conn: conn, under: h.conn, closed: make(chan struct{})}
	s.resume = s.flush
	s.outbox.maxFrames, s.outbox.maxBytes = cfg.MaxUnsentFrames, cfg.MaxUnsent
	s.ctx, s.abort = context.WithCancel(context.Background())
	context.AfterFunc(s.ctx, func() { _ = s.under.Close() }) // reads and writes have no contexts, which cost the library memory for each
	s.share = cfg.Budget.Share(s.evict)
	s.pings.start(s, cfg.PingInterval)
	return s, nil
}

// StopPings returns when no ping is under way any more. It is called after End, when the reader has ended and nobody reads the answer
// to a ping.
func (s *Socket) StopPings() { s.pings.stop() }

// Close waits until the close frame was written and frees the socket. It is called after End.
func (s *Socket) Close() {
	<-s.closed
	s.abort()
	_ = s.conn.CloseNow() // it is closed already, unless the writer was told to abort
	s.share.Release()
}

// evict disconnects the client to make room for other connections.
func (s *Socket) evict(held int64) {
	s.cfg.Log.Warn().Int64("held", held).Msg("client disconnected: all connections together hold too much, and this one most")
	s.abort()
}

// Read returns the next text frame. After an error there are no more frames.
func (s *Socket) Read() ([]byte, error) {
	kind, r, err := s.conn.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageText {
		s.End(websocket.StatusUnsupportedData, "frames are text")
		return nil, io.EOF
	}
	s.got.Store(0)
	s.began.Store(time.Now().UnixNano())
	l := &activityReader{socket: s, from: r, left: s.cfg.MaxFrame + 1}
	frame, err := io.ReadAll(l)
	s.began.Store(0)
	s.share.Change(-l.counted) // from here on it counts for the requests in it
	if err == nil && int64(len(frame)) > s.cfg.MaxFrame {
		s.End(websocket.StatusMessageTooBig, fmt.Sprintf("a frame has at most %d bytes", s.cfg.MaxFrame))
		err = io.EOF
	}
	return frame, err
}

// readChunk bounds a read, in bytes. A slow peer has to send as much within two ping intervals to count as alive.
const readChunk = 32 << 10

// An activityReader notes when bytes were read. In a long frame these count as a sign of life, since the pong waits behind it. The
// library fills a buffer before it returns, so it gets small buffers.
type activityReader struct {
	socket  *Socket
	from    io.Reader
	left    int64 // bytes that may still be read
	counted int64 // bytes, in the socket's share
}

func (l *activityReader) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.from.Read(p[:min(int64(len(p)), readChunk, l.left)])
	l.left -= int64(n)
	l.socket.lastRead.Store(time.Now().UnixNano())
	if got := l.socket.got.Add(int64(n)); got > Unnoticed {
		l.socket.share.Change(got - l.counted)
		l.counted = got
	}
	return n, err
}

// leastRate is the rate at which a peer has to send and take data on average, in bytes a second, after the first interval of a frame,
// a body or a reply. Each of these holds a connection and memory while it is under way.
const leastRate = 64 << 10

// paced returns how long n bytes may take.
func paced(interval time.Duration, n int64) time.Duration {
	return interval + time.Duration(n)*time.Second/leastRate
}

// isTooSlow reports whether the frame that is being read comes too slowly.
func (s *Socket) isTooSlow(interval time.Duration) bool {
	began := s.began.Load()
	return began != 0 && time.Since(time.Unix(0, began)) > paced(interval, s.got.Load())
}

// Write writes a frame, or puts it into the outbox if another goroutine writes. It never waits. A peer that does not read is
// disconnected. The caller does not change the frame afterwards.
func (s *Socket) Write(frame []byte) {
	if s.ctx.Err() != nil {
		return
	}
	write, full := s.outbox.add(frame)
	switch {
	case full:
		s.cfg.Log.Info().Msg("client disconnected: it does not read its replies")
		s.abort()
	case write:
		s.flush()
	default:
		s.count(0)
	}
}

// End closes the connection after the frames that wait. Only the first call counts.
func (s *Socket) End(code websocket.StatusCode, reason string) {
	write, first := s.outbox.close(closing{code, reason})
	if first {
		time.AfterFunc(s.cfg.CloseGrace, s.abort)
	}
	if write {
		s.flush()
	}
}

// flush is the writer. It returns when no frame waits any more, or when there is a backlog; then the goroutine that writes the
// backlog calls it again.
func (s *Socket) flush() {
	var frames [][]byte
	for {
		if s.under.AfterDrain(s.resume) {
			s.count(s.under.Backlog())
			return
		}
		var end *closing
		frames, end = s.outbox.take(reusable(frames))
		switch {
		case frames != nil:
			s.write(frames)
			s.count(s.under.Backlog())
		case end != nil:
			go s.finish(end) // the library waits for the peer's close
			return
		default:
			return
		}
	}
}

// reusable returns frames for the next take, or nil if it has become long.
func reusable(frames [][]byte) [][]byte {
	if cap(frames) > 4 {
		return nil
	}
	clear(frames)
	return frames[:0]
}

// write writes frames. Short ones leave in one system call.
func (s *Socket) write(frames [][]byte) {
	s.under.Cork()
	for _, frame := range frames {
		if len(frame) > gather {
			_ = s.under.Uncork()
			s.send(frame)
			s.under.Cork()
		} else {
			s.send(frame)
		}
	}
	if err := s.under.Uncork(); err != nil {
		s.abort()
	}
}

func (s *Socket) send(frame []byte) {
	if err := s.conn.Write(context.Background(), websocket.MessageText, frame); err != nil {
		s.abort()
	}
}

// count updates the connection's share of the budget. writing is the number of bytes that are being written.
func (s *Socket) count(writing int) { s.share.Change(s.outbox.change(writing)) }

func (s *Socket) finish(end *closing) {
	_ = s.conn.Close(end.code, end.reason) // fails where the peer is gone, which is as well
	close(s.closed)
}

// pings sends pings and ends the connection of a dead peer. It uses a timer, since a sleeping goroutine takes more memory.
type pings struct {
	socket   *Socket
	interval time.Duration

	mu      sync.Mutex // held while a ping is under way; guards what follows
	timer   *time.Timer
	stopped bool
}

func (p *pings) start(s *Socket, interval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.socket, p.interval = s, interval
	p.timer = time.AfterFunc(interval, p.ping)
}

// stop returns when no ping is under way. If nobody reads the answer to a ping, it ends when End or abort has closed the connection.
func (p *pings) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.timer.Stop()
}

// ping sends a ping, and ends the connection if there is no sign of life for an interval after that.
func (p *pings) ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	s := p.socket
	if s.isTooSlow(p.interval) {
		s.cfg.Log.Info().Msg("client disconnected: a frame of its took too long to come")
		s.End(websocket.StatusPolicyViolation, "a frame took too long to come")
	}
	if !p.answered() {
		s.abort()
		return
	}
	p.timer.Reset(p.interval)
}

func (p *pings) answered() bool {
	s := p.socket
	ctx, cancel := context.WithTimeout(s.ctx, p.interval)
	defer cancel()
	for {
		err := s.conn.Ping(ctx)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return s.ctx.Err() == nil && time.Since(time.Unix(0, s.lastRead.Load())) < p.interval
		case !errors.Is(err, context.DeadlineExceeded):
			return false
		}
		// The ping waited behind a long frame, longer than the library lets it. So it is sent again.
	}
}
