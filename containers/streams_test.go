package containers

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A dialed is a connection that a script asked for, from the other side.
type dialed struct {
	net.Conn
	host string
	port int
}

// A pipes is a Network whose connections end here.
type pipes struct {
	dialed chan dialed
	fail   error
	block  bool // until the stream is over
	deaf   bool // serve takes nothing from then on
}

func newPipes() *pipes { return &pipes{dialed: make(chan dialed, 100)} }

func (n *pipes) Dial(ctx context.Context, host string, port int) (net.Conn, error) {
	if n.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if n.fail != nil {
		return nil, n.fail
	}
	if host == "refused.test" {
		return nil, &call.DialError{Code: "EACCES", Message: "no"}
	}
	ours, theirs := net.Pipe()
	n.dialed <- dialed{theirs, host, port}
	return ours, nil
}

var streamLimits = func() Limits {
	l := testLimits
	l.Streams = 2
	return l
}()

func (p *peer) open(job uint64, stream uint32) {
	p.send(kindOpen, fmt.Sprintf(`{"id":%d,"stream":%d,"host":"api.test","port":443}`, job, stream), "")
}

func (p *peer) data(stream uint32, data string) {
	number := binary.BigEndian.AppendUint32(nil, stream)
	p.send(kindData, string(number)+data, "")
}

func (p *peer) stream(k kind, stream uint32) { p.send(k, fmt.Sprintf(`{"stream":%d}`, stream), "") }

func (p *peer) credit(stream uint32, n int) {
	p.send(kindCredit, fmt.Sprintf(`{"stream":%d,"bytes":%d}`, stream, n), "")
}

// receive takes frames of data until there are n bytes.
func (p *peer) receive(stream uint32, n int) []byte {
	p.t.Helper()
	var all []byte
	for len(all) < n {
		f, ok := p.next()
		number, data, err := cutData(f)
		if !ok || f.kind != kindData || err != nil || number != stream {
			p.t.Errorf("got kind %d, header %.100q after %d bytes", f.kind, f.header, len(all))
			return all
		}
		all = append(all, data...)
	}
	return all
}

func TestStream(t *testing.T) {
	network := newPipes()
	c, _ := open(t, streamLimits, func(p *peer) {
		id, _, _ := p.nextCall()
		p.open(id, 1)
		p.expect(kindOpened, `{"stream":1}`)
		p.data(1, "to the\nserver")
		if got := p.receive(1, 15); string(got) != "from\nthe server" {
			t.Errorf("got %q", got)
		}
		p.stream(kindFinish, 1)
		p.expect(kindFinish, `{"stream":1}`)
		p.expect(kindClosed, `{"stream":1}`)
		p.credit(1, 1) // of one that is gone: it may not have known
		p.data(1, "late")
		p.stream(kindAbort, 1)
		p.result(id, "1")
		p.next()
	})
	var other sync.WaitGroup
	other.Go(func() {
		d := <-network.dialed
		if d.host != "api.test" || d.port != 443 {
			t.Errorf("dialed %s:%d", d.host, d.port)
		}
		sent := make([]byte, 13)
		if _, err := io.ReadFull(d, sent); err != nil || string(sent) != "to the\nserver" {
			t.Errorf("got %q, %v", sent, err)
		}
		_, _ = io.WriteString(d, "from\nthe server")
		_ = d.Close()
	})
	if result, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Network: network}); string(result.Value) != "1" || err != nil {
		t.Errorf("got %s, %v", result.Value, err)
	}
	other.Wait()
}

func TestStreamsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		network call.Network
		want    string
	}{
		"by the policy": {&pipes{fail: &call.DialError{Code: "EACCES", Message: "connect to x is not allowed"}}, `{"stream":1,"code":"EACCES","message":"connect to x is not allowed"}`},
		"with an endless reason": {&pipes{fail: &call.DialError{Code: strings.Repeat("E", 100), Message: strings.Repeat("x", 5000)}},
			`{"stream":1,"code":"` + strings.Repeat("E", maxDialCode) + `","message":"` + strings.Repeat("x", maxDialMessage) + `"}`},
		"by an error of the daemon's own": {&pipes{fail: errors.New("secret")}, `{"stream":1,"code":"ECONNREFUSED","message":"the connection could not be made"}`},
		"for a call without a network":    {nil, `{"stream":1,"code":"EACCES","message":"connect to api.test:443 is not allowed: there are no hosts that this script may reach"}`},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := open(t, streamLimits, func(p *peer) {
				id, _, _ := p.nextCall()
				p.open(id, 1)
				p.expect(kindClosed, test.want)
				p.result(id, "1")
				p.next()
			})
			c.succeeds(t, call.Call{Timeout: time.Minute, Network: test.network})
		})
	}
}

// The agent gets no more than it granted.
func TestCreditOfTheAgent(t *testing.T) {
	network := newPipes()
	c, _ := open(t, streamLimits, func(p *peer) {
		id, _, _ := p.nextCall()
		p.open(id, 1)
		p.expect(kindOpened, `{"stream":1}`)
		all := p.receive(1, windowToAgent)
		p.send(kindOpen, fmt.Sprintf(`{"id":%d,"stream":2,"host":"refused.test","port":1}`, id), "")
		p.expect(kindClosed, `{"stream":2,"code":"EACCES","message":"no"}`) // and nothing of the first before it
		p.credit(1, 5)
		all = append(all, p.receive(1, 5)...)
		p.credit(1, windowToAgent)
		all = append(all, p.receive(1, 1000-5)...)
		for i := range all {
			if all[i] != byte(i>>8) {
				t.Errorf("byte %d is %d", i, all[i])
				break
			}
		}
		p.expect(kindFinish, `{"stream":1}`)
		p.stream(kindAbort, 1)
		p.expect(kindClosed, `{"stream":1}`)
		p.result(id, "1")
		p.next()
	})
	var other sync.WaitGroup
	other.Go(func() {
		d := <-network.dialed
		bytes := make([]byte, windowToAgent+1000)
		for i := range bytes {
			bytes[i] = byte(i >> 8)
		}
		if _, err := d.Write(bytes); err != nil {
			t.Error(err)
		}
		_ = d.Close()
	})
	c.succeeds(t, call.Call{Timeout: time.Minute, Network: network})
	other.Wait()
}

// What the daemon holds for a connection that takes nothing is bounded, and granted anew when it goes on.
func TestCreditOfTheDaemon(t *testing.T) {
	network := newPipes()
	sent := make(chan struct{})
	c, _ := open(t, streamLimits, func(p *peer) {
		id, _, _ := p.nextCall()
		p.open(id, 1)
		p.expect(kindOpened, `{"stream":1}`)
		for round := range 3 {
			for range windowToDaemon / streamChunk {
				p.data(1, strings.Repeat("y", streamChunk))
			}
			if round == 0 {
				close(sent)
			}
			for granted := 0; granted < windowToDaemon; {
				f, ok := p.next()
				var h creditHeader
				if err := json.Unmarshal(f.header, &h); !ok || err != nil || f.kind != kindCredit || h.Stream != 1 || h.Bytes < windowToDaemon/4 {
					t.Errorf("got kind %d, header %s", f.kind, f.header)
					return
				}
				granted += h.Bytes
			}
		}
		p.result(id, "1")
		for f, ok := p.next(); ok && f.kind != kindClosed; f, ok = p.next() {
		}
		p.next()
	})
	var other sync.WaitGroup
	other.Go(func() {
		d := <-network.dialed
		<-sent
		if n, err := io.CopyN(io.Discard, d, 3*windowToDaemon); err != nil {
			t.Errorf("%d bytes came, %v", n, err)
		}
		if _, err := d.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection outlives its call: %v", err)
		}
	})
	c.succeeds(t, call.Call{Timeout: time.Minute, Network: network})
	other.Wait()
}

// A connection in any state ends with its call, however that ends.
func TestStreamsEndWithTheirCall(t *testing.T) {
	for name, end := range map[string]func(p *peer, id uint64, cancel func()){
		"a value":   func(p *peer, id uint64, _ func()) { p.result(id, "1") },
		"a failure": func(p *peer, id uint64, _ func()) { p.failure(id, `"code":1000`) },
		"a cancel":  func(_ *peer, _ uint64, cancel func()) { cancel() },
		"the end of the agent": func(p *peer, _ uint64, _ func()) {
			_ = p.conn.Close()
		},
		"an abort": func(p *peer, _ uint64, _ func()) { p.stream(kindAbort, 1); p.stream(kindAbort, 2) },
	} {
		for _, connecting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, connecting %v", name, connecting), func(t *testing.T) {
				network := newPipes()
				network.block = connecting
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				left := make(chan struct{})
				c, _ := open(t, streamLimits, func(p *peer) {
					defer close(left)
					id, _, _ := p.nextCall()
					p.open(id, 1)
					p.open(id, 2)
					for range 2 {
						if connecting {
							continue
						}
						if f, ok := p.next(); !ok || f.kind != kindOpened {
							t.Errorf("got kind %d", f.kind)
						}
					}
					end(p, id, cancel)
					for closed := 0; closed < 2; {
						f, ok := p.next()
						switch {
						case !ok:
							return
						case f.kind == kindCancel:
							p.failure(id, `"code":1003`)
						case f.kind == kindClosed:
							closed++
						}
					}
					if name == "an abort" {
						p.result(id, "1")
					}
					for _, ok := p.next(); ok; _, ok = p.next() {
					}
				})
				var other sync.WaitGroup
				if !connecting {
					for range 2 {
						other.Go(func() {
							d := <-network.dialed
							if _, err := d.Read(make([]byte, 1)); err != io.EOF {
								t.Errorf("got %v", err)
							}
						})
					}
				}
				_, _ = c.Execute(ctx, call.Call{Timeout: time.Minute, Network: network})
				other.Wait()
				_ = c.Close()
				<-left
			})
		}
	}
}

// What an agent has sent before it aborts still goes out, as long as somebody takes it; the place is free after that.
func TestAbortedStream(t *testing.T) {
	for name, deaf := range map[string]bool{"to one that reads": false, "to one that does not": true} {
		virtually(t, name, func(t *testing.T) {
			network := newPipes()
			c, _ := open(t, streamLimits, func(p *peer) {
				id, _, _ := p.nextCall()
				p.open(id, 1)
				p.expect(kindOpened, `{"stream":1}`)
				for range windowToDaemon / streamChunk {
					p.data(1, strings.Repeat("y", streamChunk))
				}
				p.stream(kindAbort, 1)
				began := time.Now()
				for f, ok := p.next(); ok && f.kind != kindClosed; f, ok = p.next() {
				}
				if took := time.Since(began); took > streamDrain+time.Second || deaf && took < streamDrain {
					t.Errorf("closed after %v", took)
				}
				p.result(id, "1")
				p.next()
			})
			var other sync.WaitGroup
			other.Go(func() {
				d := <-network.dialed
				if deaf {
					return
				}
				time.Sleep(time.Second) // until the abort is there, too
				if n, err := io.Copy(io.Discard, d); n != windowToDaemon || err != nil {
					t.Errorf("%d bytes came, %v", n, err)
				}
			})
			c.succeeds(t, call.Call{Timeout: time.Minute, Network: network})
			other.Wait()
		})
	}
}

// Scripts that ask without end, and an agent that counts rightly: all get their turn, some a while later, and
// nothing is left.
func TestStreamsOneAfterTheOther(t *testing.T) { synctest.Test(t, streamsOneAfterTheOther) }

func streamsOneAfterTheOther(t *testing.T) {
	network := newPipes()
	const many = 500
	c, _ := open(t, streamLimits, func(p *peer) {
		id, _, _ := p.nextCall()
		for n := range uint32(many) {
			p.open(id, n+1)
			p.expect(kindOpened, fmt.Sprintf(`{"stream":%d}`, n+1))
			p.stream(kindAbort, n+1)
			p.expect(kindClosed, fmt.Sprintf(`{"stream":%d}`, n+1))
		}
		p.result(id, "1")
		p.next()
	})
	go func() {
		for range many {
			<-network.dialed
		}
	}()
	began := time.Now()
	c.succeeds(t, call.Call{Timeout: time.Minute, Network: network})
	const waiting = (many - streamBurst) * time.Second / streamRate
	if took := time.Since(began).Round(time.Second / streamRate); took != waiting {
		t.Errorf("took %v, want %v", took, waiting)
	}
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if len(c.streams.open) != 0 || len(c.link.outbox.data) != 0 {
		t.Errorf("%d streams are left", len(c.streams.open))
	}
}

// A stream on which nothing moves ends by itself.
func TestIdleStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		c, _ := open(t, streamLimits, func(p *peer) {
			id, _, _ := p.nextCall()
			p.open(id, 1)
			p.expect(kindOpened, `{"stream":1}`)
			began := time.Now()
			p.expect(kindClosed, `{"stream":1,"code":"ETIMEDOUT","message":"nothing was sent or received in 2m0s"}`)
			if took := time.Since(began); took < streamIdle || took > streamIdle+time.Second {
				t.Errorf("after %v", took)
			}
			p.result(id, "1")
			p.next()
		})
		c.succeeds(t, call.Call{Timeout: 10 * time.Minute, Network: network})
		<-network.dialed
	})
}

// Data is written a little at a time, and each stream gets its turn before another has its second.
func TestTurnsOfData(t *testing.T) {
	var box outbox
	streams := make([]*stream, 7)
	for i := range streams {
		streams[i] = &stream{number: uint32(i + 1), frame: []byte{byte(i)}, closed: i == 1, left: make(chan struct{}, 1)}
		box.data = append(box.data, streams[i])
	}
	turn := func(want ...source) {
		t.Helper()
		var b batch
		if box.gatherLocked(&b); !slices.Equal(b.sources, want) || len(b.pieces) != len(want) {
			t.Errorf("the turn is %v", b.pieces)
		}
		b.written()
	}
	turn(streams[0], streams[2], streams[3], streams[4])
	if box.empty() {
		t.Error("there is no more")
	}
	<-streams[0].left
	box.data = append(box.data, streams[0])
	turn(streams[5], streams[6], streams[0])
	if !box.empty() {
		t.Error("there is more")
	}
}

// What a server says at once could go out before the word that its stream is open: the writer took the words that
// waited, and behind them data that had come later than these.
func TestOpenedComesBeforeData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		var servers sync.WaitGroup
		servers.Go(func() { network.serve("hello") })
		c, _ := open(t, streamLimits, func(p *peer) {
			id, _, _ := p.nextCall()
			p.open(id, 1)
			synctest.Wait() // the writer waits for this side to read
			p.open(id, 2)
			synctest.Wait()
			opened := map[uint32]bool{}
			for range 4 {
				f, _ := p.next()
				var h openedHeader
				if f.kind == kindOpened && json.Unmarshal(f.header, &h) == nil {
					opened[h.Stream] = true
				} else if number, _, err := cutData(f); f.kind != kindData || err != nil || !opened[number] {
					t.Errorf("got kind %d of stream %d", f.kind, number)
				}
			}
			p.result(id, "1")
			p.next()
		})
		c.succeeds(t, call.Call{Timeout: time.Minute, Network: network})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		close(network.dialed)
		servers.Wait()
	})
}
