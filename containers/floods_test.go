package containers

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// TestFloods has agents that send without end. Each is cut off, or ignored, before the daemon's memory has
// grown by more than a few frames.
func TestFloods(t *testing.T) {
	for name, flood := range map[string]func(p *peer, i int){
		"prints":      func(p *peer, _ int) { p.send(kindPrint, `{"id":1,"level":"log"}`, "x") },
		"long prints": func(p *peer, _ int) { p.send(kindPrint, `{"id":1,"level":"log"}`, strings.Repeat("x", 1<<19)) },
		"callbacks": func(p *peer, i int) {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), "[]")
		},
		"long callbacks": func(p *peer, i int) {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), "["+strings.Repeat(" ", 1<<19)+"]")
		},
		"callbacks that are refused": func(p *peer, i int) {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"g"}`, i+1), "[]")
		},
		"pongs":                 func(p *peer, _ int) { p.send(kindPong, "{}", "") },
		"results without calls": func(p *peer, i int) { p.result(uint64(i+3), "1") },
		"frames of nothing":     func(p *peer, _ int) { p.raw("\x00\x00\x00\x00\x04") },
		"answered calls": func(p *peer, i int) {
			if i == 0 {
				p.result(2, "1")
			}
			p.send(kindPrint, `{"id":2,"level":"log"}`, "x")
		},
		"one byte each":               func(p *peer, _ int) { p.raw("\x00\x00\x00\x01\x04{") },
		"64 MiB":                      func(p *peer, _ int) { p.raw("\x04\x00\x00\x00\x04" + strings.Repeat(" ", 1<<16)) },
		"4 GiB":                       func(p *peer, _ int) { p.raw("\xff\xff\xff\xff\x04") },
		"spaces in front of a header": func(p *peer, _ int) { p.send(kindPrint, strings.Repeat(" ", 1<<18)+`{"id":1,"level":"log"}`, "") },
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			made := make(chan struct{})
			c, process := open(t, testLimits, func(p *peer) {
				p.nextCall()
				close(made)
				p.nextCall()
				for i := range 100_000 {
					select {
					case <-p.killed:
						return
					default:
						flood(p, i)
					}
				}
				t.Error("it was never cut off")
			})
			var beside sync.WaitGroup
			beside.Go(func() {
				<-made
				if result, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute}); !isLost(err, true) && string(result.Value) != "1" {
					t.Errorf("the call beside got %s, %v", result.Value, err)
				}
			})
			host := &client{answer: never}
			_, err := c.Execute(t.Context(), callWith(host))
			beside.Wait()
			if !isLost(err, true) || !errors.Is(err, errProtocol) {
				t.Errorf("got %v", err)
			}
			<-process.killed
			if len(host.lines) > testLimits.ConsoleLines+1 {
				t.Errorf("the client got %d lines", len(host.lines))
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
				t.Errorf("%d MiB are left", grown>>20)
			}
		})
	}
}

// Part of a frame that never goes on is no crime, nor does it count as the end of anything: calls get their
// answers by the daemon's own deadlines, and a container where nothing else happens is given up.
func TestFramesThatNeverEnd(t *testing.T) {
	for name, test := range map[string]struct {
		part  string
		drips bool // and then a byte every five seconds
	}{
		"part of a length":    {"\x00\x00", false},
		"a length":            {"\x00\x00\x00\x40\x04", false},
		"a length and more":   {"\x00\x0f\xff\xff\x04{\"id\":1}\n\"", false},
		"a byte now and then": {"\x00\x0f\xff\xff\x04{\"id\":1}\n\"", true},
		"nothing":             {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := openMetered(t, busy(time.Hour), func(p *peer) {
					p.nextCall()
					go func() { // it reads, so that nothing else is the reason
						_, _ = io.Copy(io.Discard, p.conn)
					}()
					p.raw(test.part)
					for test.drips && p.raw("x") {
						time.Sleep(5 * time.Second)
					}
					<-p.killed
				})
				began := time.Now()
				_, err := c.Execute(t.Context(), call.Call{Timeout: time.Second})
				var failure *call.Failure
				if !errors.As(err, &failure) || failure.Code != call.Timeout || time.Since(began) != time.Second+deadlineGrace {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
				<-c.Done()
				if took := time.Since(began); took > 3*time.Minute {
					t.Errorf("given up after %v", took)
				}
			})
		})
	}
}

// An agent that reads nothing holds no more of the daemon than its slots are for, and each call has its
// answer in time.
func TestAgentThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := testLimits
		limits.Concurrency = 8
		c, _ := open(t, limits, func(p *peer) { <-p.killed })
		script := []byte(`{"code":"` + strings.Repeat("x", 1<<20) + `"}`)
		var calls sync.WaitGroup
		for i := range 50 {
			calls.Go(func() {
				began := time.Now()
				ctx := cancelled(t, time.Minute) // while those beyond the eighth wait for a slot
				_, err := c.Execute(ctx, call.Call{Script: script, Timeout: time.Second})
				var failure *call.Failure
				var lost *call.LostError
				if !errors.As(err, &failure) && !errors.As(err, &lost) || time.Since(began) > time.Minute+time.Second {
					t.Errorf("call %d got %v after %v", i, err, time.Since(began))
				}
			})
		}
		synctest.Wait()
		c.link.mu.Lock()
		waiting := len(c.link.outbox.frames)
		c.link.mu.Unlock()
		if waiting > 2*limits.Concurrency+1 {
			t.Errorf("%d frames wait", waiting)
		}
		calls.Wait()
	})
}
