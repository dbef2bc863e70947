package containers

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// What an agent may not say of streams, while call 1 has stream 1 and call 2 stream 2. It costs the agent
// its life.
func TestLiesAboutStreams(t *testing.T) {
	open1 := func(header string) func(*peer) { return func(p *peer) { p.send(kindOpen, header, "") } }
	for name, lie := range map[string]func(*peer){
		"one of a call not made":    open1(`{"id":3,"stream":3,"host":"x","port":1}`),
		"one of a call answered":    func(p *peer) { p.result(1, "1"); p.open(1, 3) },
		"one of no call":            open1(`{"stream":3,"host":"x","port":1}`),
		"one again":                 func(p *peer) { p.open(1, 1) },
		"one left out":              func(p *peer) { p.open(1, 4) },
		"number 0":                  func(p *peer) { p.open(1, 0) },
		"a number too large":        open1(`{"id":1,"stream":4294967296,"host":"x","port":1}`),
		"a number below 0":          open1(`{"id":1,"stream":-1,"host":"x","port":1}`),
		"to no host":                open1(`{"id":1,"stream":3,"port":1}`),
		"to an endless host":        open1(`{"id":1,"stream":3,"host":"` + strings.Repeat("x", 4*maxHost+1) + `","port":1}`),
		"to a host that is no text": open1(`{"id":1,"stream":3,"host":["x"],"port":1}`),
		"to port 0":                 open1(`{"id":1,"stream":3,"host":"x","port":0}`),
		"to port 65536":             open1(`{"id":1,"stream":3,"host":"x","port":65536}`),
		"to port 1.5":               open1(`{"id":1,"stream":3,"host":"x","port":1.5}`),
		"more than a call may have": func(p *peer) { p.open(1, 3); p.open(1, 4) },
		"data of one not opened":    func(p *peer) { p.data(3, "x") },
		"data of stream 0":          func(p *peer) { p.data(0, "x") },
		"no data":                   func(p *peer) { p.data(1, "") },
		"data without a stream":     func(p *peer) { p.send(kindData, "abc", "") },
		"a frame of data, too long": func(p *peer) { p.data(1, strings.Repeat("x", streamChunk+1)) },
		"data that was not granted": func(p *peer) {
			for range windowToDaemon/streamChunk + 1 {
				p.data(1, strings.Repeat("x", streamChunk))
			}
		},
		"data of one that is not open":    func(p *peer) { p.open(1, 3); p.data(3, "x") },
		"data behind the last":            func(p *peer) { p.stream(kindFinish, 1); p.data(1, "x") },
		"data behind an abort":            func(p *peer) { p.data(1, "x"); p.stream(kindAbort, 1); p.data(1, "y") },
		"the end of one twice":            func(p *peer) { p.stream(kindFinish, 1); p.stream(kindFinish, 1) },
		"the end of one not opened":       func(p *peer) { p.stream(kindFinish, 3) },
		"the end of one that is not open": func(p *peer) { p.open(1, 3); p.stream(kindFinish, 3) },
		"an abort of one not opened":      func(p *peer) { p.stream(kindAbort, 3) },
		"credit for one not opened":       func(p *peer) { p.credit(3, 1) },
		"credit for what was not sent":    func(p *peer) { p.credit(1, 1) },
		"credit without end":              func(p *peer) { p.credit(1, 1<<62) },
		"credit of 0":                     func(p *peer) { p.credit(1, 0) },
		"credit below 0":                  func(p *peer) { p.credit(1, -1) },
		"an opened":                       func(p *peer) { p.stream(kindOpened, 1) },
		"a closed":                        func(p *peer) { p.stream(kindClosed, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newPipes()
				c, process := open(t, streamLimits, func(p *peer) {
					p.nextCall()
					p.nextCall()
					for n := range uint64(2) {
						p.open(n+1, uint32(n+1))
						if f, ok := p.next(); !ok || f.kind != kindOpened {
							t.Errorf("got kind %d", f.kind)
						}
					}
					network.block = true // the next one
					var reading sync.WaitGroup
					reading.Go(func() {
						for _, ok := p.next(); ok; _, ok = p.next() {
						}
					})
					lie(p)
					reading.Wait()
				})
				var calls sync.WaitGroup
				for range 2 {
					calls.Go(func() {
						var lost *call.LostError
						_, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Network: network})
						if !errors.As(err, &lost) && (err != nil || name != "one of a call answered") || lost != nil && !errors.Is(err, errProtocol) {
							t.Errorf("got %v", err)
						}
					})
				}
				<-c.done
				for range 2 {
					if _, err := (<-network.dialed).Read(make([]byte, 1)); err != io.EOF {
						t.Errorf("a connection outlives the agent: %v", err)
					}
				}
				calls.Wait()
				<-process.killed
			})
		})
	}
}

// resets is a Network whose connections are reset as soon as they are made, to a slow host when they are over.
type resets struct{}

func (resets) Dial(ctx context.Context, host string, _ int) (net.Conn, error) {
	if host == "slow.test" {
		<-ctx.Done()
	}
	conn, _ := net.Pipe()
	return reset{conn}, nil
}

type reset struct{ net.Conn }

func (reset) Read([]byte) (int, error) { return 0, syscall.ECONNRESET }

// What an agent may have sent before it knew that a stream is over is ignored; what goes on without end is not.
func TestFramesOfStreamsThatAreOver(t *testing.T) {
	over := func(p *peer) {
		p.open(1, 1)
		p.expect(kindOpened, `{"stream":1}`)
		p.expect(kindClosed, `{"stream":1,"code":"ECONNRESET","message":"read ECONNRESET"}`)
	}
	aborted := func(p *peer) {
		p.send(kindOpen, `{"id":1,"stream":1,"host":"slow.test","port":443}`, "")
		p.stream(kindAbort, 1)
		p.expect(kindClosed, `{"stream":1}`)
	}
	const granted = windowToDaemon / streamChunk
	for name, test := range map[string]struct {
		before func(*peer)
		frame  func(*peer)
		times  int
		lives  bool
	}{
		"all that was granted":      {over, func(p *peer) { p.data(1, strings.Repeat("x", streamChunk)) }, granted, true},
		"its end, and an abort":     {over, func(p *peer) { p.stream(kindFinish, 1); p.stream(kindAbort, 1) }, 1, true},
		"credit for what it got":    {over, func(p *peer) { p.credit(1, 1) }, 1000, true},
		"data without end":          {over, func(p *peer) { p.data(1, strings.Repeat("x", streamChunk)) }, 1000, false},
		"ends without end":          {over, func(p *peer) { p.stream(kindFinish, 1) }, windowToDaemon + windowToAgent + 3, false},
		"an end behind an abort":    {aborted, func(p *peer) { p.stream(kindFinish, 1) }, 1, true},
		"aborts without end":        {aborted, func(p *peer) { p.stream(kindAbort, 1) }, 2, false},
		"credit behind the aborted": {aborted, func(p *peer) { p.credit(1, 1) }, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, process := open(t, streamLimits, func(p *peer) {
				p.nextCall()
				test.before(p)
				for range test.times {
					test.frame(p)
				}
				p.result(1, "1")
				p.next()
			})
			_, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Network: resets{}})
			if test.lives && err != nil || !test.lives && !errors.Is(err, errProtocol) {
				t.Fatalf("got %v", err)
			}
			if !test.lives {
				<-process.killed
			}
		})
	}
}
