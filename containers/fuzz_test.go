package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
)

// FuzzLink has an agent say anything while calls with and without a client run, and one in a session. It
// may end them as it likes, but every call gets an answer that is fit to be passed on, and a client
// sees nothing that it did not ask for.
//
// Frames are parted by a NUL byte and begin with their kind; their lengths are always right, since
// FuzzReadFrame sees to wrong ones. testdata/fuzz has an input for each thing that an agent may say.
func FuzzLink(f *testing.F) {
	for _, g := range goldenFrames(f) {
		if g.To == "daemon" {
			f.Add(g.bytes(f)[frameHead-1:])
		}
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		made := make(chan struct{}, 4)
		answered := make(map[string]bool) // callbacks, by header
		c, _ := open(t, testLimits, func(p *peer) {
			for id := uint64(1); id <= 4; id++ {
				p.nextCall()
				made <- struct{}{}
				if id == 3 {
					p.result(id, "0") // opens session 1
				}
			}
			var writing sync.WaitGroup
			defer writing.Wait()
			writing.Go(func() {
				for frame := range bytes.SplitSeq(said, []byte{0}) {
					if len(frame) > 0 {
						p.send(kind(frame[0]), string(frame[1:]), "")
					}
				}
				p.conn.Close()
			})
			for f, ok := p.next(); ok; f, ok = p.next() {
				if f.kind == kindReply && answered[string(f.header)] || f.kind != kindReply && f.kind != kindClose {
					t.Errorf("got kind %d, header %s", f.kind, f.header)
				}
				answered[string(f.header)] = true
			}
		})
		var calls sync.WaitGroup
		run := func(execute func(context.Context, call.Call) (call.Result, error), job call.Call) {
			calls.Go(func() {
				job.Timeout = time.Minute
				result, err := execute(t.Context(), job)
				if c, ok := job.Client.(*fuzzedClient); ok {
					c.leave(t)
				}
				checkFuzzed(t, result, err)
			})
			<-made
		}
		run(c.Execute, call.Call{Stream: true, Callbacks: []string{"f", "fetchUser"}, Client: &fuzzedClient{}})
		run(c.Execute, call.Call{})
		var s *openedSession
		opened := make(chan struct{})
		calls.Go(func() {
			defer close(opened)
			var err error
			if s, err = c.openSession(t.Context(), call.Call{Timeout: time.Minute}); err != nil {
				t.Error(err)
			}
		})
		<-made
		<-opened
		run(s.Execute, call.Call{Stream: true, Callbacks: []string{"f"}, Client: &fuzzedClient{}})
		calls.Wait()
		<-s.Done()
		<-c.Done()
	})
}

func checkFuzzed(t *testing.T, result call.Result, err error) {
	console := result.Console
	switch err := err.(type) {
	case nil:
		if !json.Valid(result.Value) {
			t.Errorf("took %q for a value", result.Value)
		}
	case *call.Failure:
		console = err.Console
	case *call.LostError:
		if !err.Started && err.Cause != errWorkerDied {
			t.Errorf("a call that was sent did not start: %v", err)
		}
	default:
		if err != call.ErrNoSession {
			t.Errorf("got %v", err)
		}
	}
	checkLines(t, console)
}

func checkLines(t *testing.T, lines []string) {
	if len(lines) > testLimits.ConsoleLines+1 || len(lines) > testLimits.ConsoleLines && lines[len(lines)-1] != consoleClosing {
		t.Errorf("%d lines passed", len(lines))
	}
}

// A fuzzedClient answers in every way there is.
type fuzzedClient struct {
	lines []string
	calls atomic.Int64
	left  atomic.Bool
}

func (c *fuzzedClient) Print(_, text string) {
	if c.left.Load() {
		panic("a line after the call")
	}
	c.lines = append(c.lines, text)
}

func (c *fuzzedClient) Callback(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, error) {
	if c.left.Load() {
		panic("a callback after the call")
	}
	var list []any
	if err := json.Unmarshal(args, &list); err != nil || !slices.Contains([]string{"f", "fetchUser"}, name) {
		panic(fmt.Sprintf("asked for %q with %q", name, args))
	}
	switch c.calls.Add(1) % 4 {
	case 0:
		return nil, &call.CallbackError{Message: name, Data: args}
	case 1:
		return nil, io.EOF
	case 2:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return args, nil
}

func (c *fuzzedClient) leave(t *testing.T) {
	c.left.Store(true)
	checkLines(t, c.lines)
}

// FuzzStreams has an agent do anything with streams of two calls, whose connections give back what they get. Each two
// bytes are a step. Whatever it does, both calls get an answer, and nothing of any stream is left.
func FuzzStreams(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 3, 0, 4, 0, 6, 0})
	f.Add([]byte{0, 0, 1, 0, 0, 0, 5, 0, 5, 1, 0, 0, 6, 0, 6, 1})
	f.Add([]byte{0, 0, 2, 255, 2, 255, 2, 255, 2, 255, 2, 255})
	f.Add([]byte{0, 0, 4, 0, 3, 0, 2, 9, 7, 0, 6, 1})
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 200 {
			return
		}
		c, process := open(t, streamLimits, func(p *peer) {
			p.nextCall()
			p.nextCall()
			var reading sync.WaitGroup
			reading.Go(func() {
				for {
					f, err := p.frames.read(p.conn)
					if err != nil { // also within a frame, where the daemon cuts the agent off
						return
					}
					if f.kind < kindOpened || f.kind > kindClosed || f.kind == kindAbort {
						t.Errorf("got kind %d, header %s", f.kind, f.header)
					}
				}
			})
			defer reading.Wait()
			defer p.conn.Close()
			opened := uint32(0)
			for i := 0; i+1 < len(steps); i += 2 {
				n := uint32(steps[i+1])
				switch steps[i] % 8 {
				case 0, 1:
					opened++
					p.open(uint64(1+n%2), opened)
				case 2:
					p.data(1+n%4, strings.Repeat("x", int(n)*streamChunk/255))
				case 3:
					p.credit(1+n%4, int(n)<<10)
				case 4:
					p.stream(kindFinish, 1+n%4)
				case 5:
					p.stream(kindAbort, 1+n%4)
				case 6:
					p.result(uint64(1+n%2), "1")
				case 7:
					time.Sleep(time.Millisecond) // for what is under way
				}
			}
		})
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() {
				result, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Network: echoes{}})
				checkFuzzed(t, result, err)
			})
		}
		calls.Wait()
		<-process.killed
		<-c.done
		c.link.mu.Lock()
		defer c.link.mu.Unlock()
		for _, s := range c.streams.open {
			if !s.closed {
				t.Errorf("stream %d goes on", s.number)
			}
		}
	})
}

// echoes is a Network whose connections give back what they get.
type echoes struct{}

func (echoes) Dial(context.Context, string, int) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() { // ends with the connection
		_, _ = io.Copy(theirs, theirs)
		_ = theirs.Close()
	}()
	return ours, nil
}
