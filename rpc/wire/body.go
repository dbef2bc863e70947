package wire

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// ErrTooLarge is the end of a Body over the limit.
var ErrTooLarge = errors.New("the body is over the limit")

// A Body is a POST: one frame in, at most one out. It is read by one goroutine. Write is called at most once, before Respond.
type Body struct {
	cfg      *Config
	body     io.Reader
	response *http.ResponseController
	w        http.ResponseWriter
	began    time.Time
	share    *Share

	got     int64 // bytes of the body; the reader's
	counted int64 // of them, in share; likewise
	failed  error // to read it; likewise
	reply   []byte

	mu       sync.Mutex // guards what follows, and the deadline for reading
	deadline time.Time
	over     bool // the body was read, or will not be
}

// NewBody makes the Body of a POST. It calls cancel to end the calls of the POST if the budget is exceeded. The caller calls Read once,
// then Respond, then Release.
func NewBody(w http.ResponseWriter, r *http.Request, cfg *Config, cancel func()) *Body {
	b := &Body{cfg: cfg, response: http.NewResponseController(w), w: w, began: time.Now()}
	b.body = http.MaxBytesReader(w, io.NopCloser(&paceReader{b, r.Body}), cfg.MaxFrame)
	b.share = cfg.Budget.Share(func(held int64) {
		cfg.Log.Warn().Int64("held", held).Msg("POST given up: all connections together hold too much, and this one most")
		cancel()
		b.abort()
		_ = b.response.SetWriteDeadline(time.Now())
	})
	return b
}

// Release gives back the Body's share of the budget.
func (b *Body) Release() { b.share.Release() }

// A paceReader moves the deadline for reading as the body comes.
type paceReader struct {
	body *Body
	from io.Reader
}

func (r *paceReader) Read(p []byte) (int, error) {
	b := r.body
	b.extend()
	n, err := r.from.Read(p)
	if b.got += int64(n); b.got > Unnoticed {
		b.share.Change(b.got - b.counted)
		b.counted = b.got
	}
	return n, err
}

func (b *Body) extend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := b.began.Add(paced(b.cfg.PingInterval, b.got)); !b.over && at.Sub(b.deadline) > time.Second/4 {
		b.deadline = at
		_ = b.response.SetReadDeadline(at)
	}
}

// abort makes reading the body fail.
func (b *Body) abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.over = true
		_ = b.response.SetReadDeadline(time.Now())
	}
}

// isLate reports whether the time for the body has passed. It is called after a read has failed. A body that was aborted before the
// first read has no deadline.
func (b *Body) isLate() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.deadline.IsZero() && !time.Now().Before(b.deadline)
}

// Read returns the whole body. The error is ErrTooLarge, or an error of the connection.
func (b *Body) Read() ([]byte, error) {
	frame, err := io.ReadAll(b.body)
	b.finishReading(err == nil)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, ErrTooLarge
	}
	b.failed = err
	return frame, err
}

// finishReading notes that the body was read, or will not be. From here on its bytes count for its requests. A whole body needs no
// deadline any more, which would also end its calls. For an incomplete body the deadline stays, since net/http waits for the rest.
func (b *Body) finishReading(whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over && whole {
		_ = b.response.SetReadDeadline(time.Time{})
	}
	b.over = true
	b.share.Change(-b.counted)
}

// Write stores the reply, which Respond sends. It does not wait.
func (b *Body) Write(frame []byte) { b.reply = frame }

// End makes reading fail. It is called when no call is in flight, so a body is all that the POST can wait for.
func (b *Body) End(websocket.StatusCode, string) { b.abort() }

// IsUnanswered reports whether the whole body was read and no reply was written.
func (b *Body) IsUnanswered() bool { return b.failed == nil && b.reply == nil }

// Respond answers with HTTP 200 and the reply. If the body could not be read it answers with 400 or 408.
func (b *Body) Respond() {
	if b.failed != nil {
		b.refuse()
		return
	}
	b.w.Header().Set("Content-Type", "application/json")
	_ = b.response.SetWriteDeadline(time.Now().Add(paced(b.cfg.PingInterval, int64(len(b.reply)))))
	if len(b.reply) > Unnoticed {
		b.share.Change(int64(len(b.reply)))
	}
	_, _ = b.w.Write(b.reply)
}

func (b *Body) refuse() {
	b.w.Header().Set("Connection", "close") // else the server would wait for the rest of the body
	if errors.Is(b.failed, os.ErrDeadlineExceeded) && b.isLate() {
		http.Error(b.w, "the body took too long to come", http.StatusRequestTimeout)
		return
	}
	http.Error(b.w, "the body could not be read", http.StatusBadRequest)
}
