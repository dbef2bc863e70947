package containers

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// BenchmarkCall is what a plain call costs the link, with an agent that answers at once: over pipes, whose descriptors the
// link uses, and over a connection that has none.
func BenchmarkCall(b *testing.B) {
	b.Run("pipes", func(b *testing.B) {
		ours, theirs := newPipedProcess(b)
		benchmarkCall(b, ours, theirs)
	})
	b.Run("plain", func(b *testing.B) {
		ours, theirs := net.Pipe()
		benchmarkCall(b, &pipeProcess{Conn: ours, killed: make(chan struct{})}, theirs)
	})
}

func benchmarkCall(b *testing.B, process Process, agent io.ReadWriteCloser) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		answerAll(agent)
	}()
	c, err := Open(b.Context(), process, testLimits, zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	job := &call.Call{Script: []byte(`{"code":"1+1"}`), Timeout: time.Minute, CPU: time.Minute}
	errs := make(chan error, 1)
	done := func(_ call.Result, err error) { errs <- err }
	b.ReportAllocs()
	for b.Loop() {
		c.Start(job, done)
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := c.Close(); err != nil {
		b.Error(err)
	}
	<-served
}

// A pipedProcess is the daemon's side of an agent behind two pipes of the kernel.
type pipedProcess struct {
	io.Reader
	io.Writer
	read, write *os.File
	ended       chan struct{}
}

// newPipedProcess gives both sides.
func newPipedProcess(t testing.TB) (*pipedProcess, io.ReadWriteCloser) {
	fromAgent, toDaemon, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromDaemon, toAgent, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return &pipedProcess{fromAgent, toAgent, fromAgent, toAgent, make(chan struct{})}, &pipedAgent{fromDaemon, toDaemon}
}

func (p *pipedProcess) ID() string                                { return "piped" }
func (p *pipedProcess) Pipes() (Pipe, io.Writer, <-chan struct{}) { return p.read, p.write, p.ended }

func (p *pipedProcess) Kill() error {
	return errors.Join(ignoreClosed(p.read.Close()), ignoreClosed(p.write.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

type pipedAgent struct{ read, write *os.File }

func (p *pipedAgent) Read(b []byte) (int, error)  { return p.read.Read(b) }
func (p *pipedAgent) Write(b []byte) (int, error) { return p.write.Write(b) }

func (p *pipedAgent) Close() error {
	return errors.Join(ignoreClosed(p.read.Close()), ignoreClosed(p.write.Close()))
}

// answerAll is an agent that allocates next to nothing, so that the figures are the daemon's.
func answerAll(conn io.ReadWriteCloser) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	buffer := make([]byte, 0, 1<<10)
	head := make([]byte, frameHead)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		payload := buffer[:int(head[2])<<8|int(head[3])]
		if _, err := io.ReadFull(r, payload); err != nil {
			return
		}
		answer := append(buffer[len(payload):len(payload)], 0, 0, 0, 0, byte(kindResult))
		if kind(head[4]) == kindHello {
			answer = append(answer, goodHello...)
			answer[4] = byte(kindHello)
		} else {
			answer = append(answer, `{"id":`...)
			for _, c := range payload[len(`{"id":`):] {
				if c < '0' || c > '9' {
					break
				}
				answer = append(answer, c)
			}
			answer = append(answer, "}\n2"...)
		}
		answer[3] = byte(len(answer) - frameHead)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
