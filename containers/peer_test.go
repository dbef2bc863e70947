package containers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testLimits = Limits{
	Concurrency: 4, Workers: 2, Heap: 64, Memory: 256,
	Result: 1 << 20, ConsoleLines: 3, ConsoleBytes: 100,
}

const goodHello = `{"version":5,"node":"v26.10.0","modules":["assert"]}`

// pipeProcess is the daemon's side of a scripted agent.
type pipeProcess struct {
	net.Conn
	once   sync.Once
	killed chan struct{}
}

func (p *pipeProcess) ID() string { return "scripted" }

func (p *pipeProcess) Kill() error {
	p.once.Do(func() {
		p.Conn.Close()
		close(p.killed)
	})
	return nil
}

// A peer is the agent's side: it reads what the daemon sends and writes whatever a test likes.
type peer struct {
	t      *testing.T
	conn   io.ReadWriteCloser
	frames *frameBuffer

	killed <-chan struct{} // once the daemon has hung up
}

// next gives the daemon's next frame, but for pings, which it answers. It may be called by any goroutine.
func (p *peer) next() (frame, bool) {
	f, ok := p.nextOrPing()
	for ok && f.kind == kindPing {
		p.send(kindPong, "{}", "")
		f, ok = p.nextOrPing()
	}
	return f, ok
}

func (p *peer) nextOrPing() (frame, bool) {
	f, err := p.frames.read(p.conn)
	f.header, f.body = bytes.Clone(f.header), bytes.Clone(f.body) // they outlive the next frame
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Errorf("the daemon sent no frame: %v", err)
	}
	return f, err == nil
}

// nextCall gives the id of the next call, and its body.
func (p *peer) nextCall() (uint64, string, bool) {
	f, ok := p.next()
	if !ok {
		return 0, "", false
	}
	var h callHeader
	if err := json.Unmarshal(f.header, &h); err != nil || f.kind != kindCall {
		p.t.Errorf("want a call, got kind %d, header %s", f.kind, f.header)
		return 0, "", false
	}
	return h.ID, string(f.body), true
}

// expect takes the daemon's next frame, which has to be this one, and gives its body.
func (p *peer) expect(k kind, header string) string {
	p.t.Helper()
	f, ok := p.next()
	if !ok || f.kind != k || string(f.header) != header {
		p.t.Errorf("got kind %d, header %s\nwant kind %d, header %s", f.kind, f.header, k, header)
	}
	return string(f.body)
}

// send writes a frame. That the daemon no longer reads is no error: liars are cut off.
func (p *peer) send(k kind, header, body string) {
	payload := header
	if body != "" {
		payload += "\n" + body
	}
	p.raw(string([]byte{byte(len(payload) >> 24), byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), byte(k)}) + payload)
}

// raw reports whether the daemon reads it.
func (p *peer) raw(bytes string) bool {
	_, err := io.WriteString(p.conn, bytes)
	return err == nil
}

func (p *peer) result(id uint64, value string) {
	p.send(kindResult, fmt.Sprintf(`{"id":%d,"time":1}`, id), value)
}

func (p *peer) failure(id uint64, rest string) {
	p.send(kindFailure, fmt.Sprintf(`{"id":%d,%s}`, id, rest), "")
}

// newPeer starts script on a scripted agent. The test ends when the script has.
func newPeer(t *testing.T, script func(*peer)) *pipeProcess {
	ours, theirs := net.Pipe()
	process := &pipeProcess{Conn: ours, killed: make(chan struct{})}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		defer theirs.Close()
		script(&peer{t: t, conn: theirs, frames: newFrameBuffer(MaxFrame), killed: process.killed})
	}()
	t.Cleanup(func() {
		_ = process.Kill()
		<-finished
	})
	return process
}

// open gives a container whose agent says hello as it should and then follows the script.
func open(t *testing.T, l Limits, script func(*peer)) (*Container, *pipeProcess) {
	t.Helper()
	process := newPeer(t, func(p *peer) {
		if f, ok := p.next(); !ok || f.kind != kindHello {
			t.Errorf("want a hello first, got kind %d", f.kind)
			return
		}
		p.send(kindHello, goodHello, "")
		script(p)
	})
	c, err := Open(t.Context(), process, l, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, process
}
