package rpc

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// A rig is a server on a real socket.
type rig struct {
	testing.TB
	*Server
	runner *runner
	http   *httptest.Server
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func start(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{TB: t, runner: newRunner(), log: &lockedBuffer{}}
	r.http = httptest.NewUnstartedServer(nil)
	cfg := Config{
		Runner: r.runner, Version: "1.2.3", Boot: "b", Listen: r.http.Listener.Addr(),
		Log: zerolog.New(r.log),
	}
	for _, f := range change {
		f(&cfg)
	}
	r.Server = New(cfg)
	r.http.Config.Handler = r.Server
	r.http.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Shutdown(ctx)
		r.http.Close()
	})
	return r
}

// allowed is the same policy for all tenants.
func allowed(p Policy) func(string) Policy { return func(string) Policy { return p } }

func (r *rig) url() string { return "ws" + strings.TrimPrefix(r.http.URL, "http") }

// A client is the far end of a WebSocket.
type client struct {
	testing.TB
	conn *websocket.Conn
	ctx  context.Context
}

func (r *rig) dial(options ...*websocket.DialOptions) *client {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	var o *websocket.DialOptions
	if len(options) > 0 {
		o = options[0]
	}
	conn, _, err := websocket.Dial(ctx, r.url(), o)
	if err != nil {
		r.Fatal(err)
	}
	conn.SetReadLimit(-1)
	r.Cleanup(func() { _ = conn.CloseNow(); cancel() })
	return &client{r.TB, conn, ctx}
}

func (r *rig) dialDuplex() *client {
	r.Helper()
	p := r.dial()
	p.send("SIMPLEX/1.0;json")
	p.expect("+OK")
	return p
}

func (p *client) send(frames ...string) {
	p.Helper()
	for _, f := range frames {
		if err := p.conn.Write(p.ctx, websocket.MessageText, []byte(f)); err != nil {
			p.Fatal(err)
		}
	}
}

func (p *client) receive() string {
	p.Helper()
	_, frame, err := p.conn.Read(p.ctx)
	if err != nil {
		p.Fatal(err)
	}
	return string(frame)
}

func (p *client) expect(want ...string) {
	p.Helper()
	for _, w := range want {
		if got := p.receive(); got != w {
			p.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// expectAll is for replies whose order nothing determines.
func (p *client) expectAll(want ...string) {
	p.Helper()
	var got []string
	for range want {
		got = append(got, p.receive())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.Fatalf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// expectClose reads until the connection ends.
func (p *client) expectClose(code websocket.StatusCode, reason string) {
	p.Helper()
	_, frame, err := p.conn.Read(p.ctx)
	if err == nil {
		p.Fatalf("got %.200s, want a close", frame)
	}
	var ce websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != code || !strings.Contains(ce.Reason, reason) {
		p.Fatalf("got %v, want close %d with %q", err, code, reason)
	}
}

// running waits until n calls of the script "wait" run.
func (r *rig) running(n int) {
	r.Helper()
	for range n {
		select {
		case <-r.runner.started:
		case <-time.After(patience):
			r.Fatal("the call never ran")
		}
	}
}

// eventually waits for what other goroutines bring about and nothing announces.
func (r *rig) eventually(what string, is func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("never: %s", what)
		}
	}
}
