package containers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

func TestAgentAnswers(t *testing.T) {
	many := strings.Repeat("x", 200)
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	tests := []struct {
		name   string
		answer func(*peer, uint64)
		result call.Result
		err    error
	}{
		{name: "a value", answer: func(p *peer, id uint64) {
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"time":3,"console":["a","b"]}`, id), `{"a": "b\n"}`)
		}, result: call.Result{Value: []byte(`{"a": "b\n"}`), Console: []string{"a", "b"}, Time: 3}},
		{name: "no console", answer: func(p *peer, id uint64) { p.result(id, "0") },
			result: call.Result{Value: []byte("0"), Console: []string{}, Time: 1}},
		{name: "negative time", answer: func(p *peer, id uint64) {
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"time":-3}`, id), "1")
		}, result: call.Result{Value: []byte("1"), Console: []string{}}},
		{name: "processor time", answer: func(p *peer, id uint64) {
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"cpu":1.25}`, id), "1")
		}, result: call.Result{Value: []byte("1"), Console: []string{}, CPU: 1250 * time.Microsecond}},
		{name: "as much processor time as may be", answer: func(p *peer, id uint64) {
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"cpu":1e12}`, id), "1")
		}, result: call.Result{Value: []byte("1"), Console: []string{}, CPU: 1e9 * time.Second}},
		{name: "too many lines", answer: func(p *peer, id uint64) {
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"console":["a","b","c","d","e"]}`, id), "1")
		}, result: call.Result{Value: []byte("1"), Console: []string{"a", "b", "c", consoleClosing}}},
		{name: "too many bytes", answer: func(p *peer, id uint64) {
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"console":["a",%q,"c"]}`, id, many), "1")
		}, result: call.Result{Value: []byte("1"), Console: []string{"a", consoleClosing}}},
		{name: "limits used up and closed", answer: func(p *peer, id uint64) {
			p.send(kindResult, fmt.Sprintf(`{"id":%d,"console":["a","b","c",%q]}`, id, consoleClosing), "1")
		}, result: call.Result{Value: []byte("1"), Console: []string{"a", "b", "c", consoleClosing}}},
		{name: "an exception", answer: func(p *peer, id uint64) {
			p.failure(id, `"code":1000,"name":"TypeError","message":"x","stack":"TypeError: x","console":["a"]`)
		}, err: &call.Failure{Code: call.Exception, Name: "TypeError", Message: "x", Stack: "TypeError: x", Console: []string{"a"}}},
		{name: "long texts", answer: func(p *peer, id uint64) {
			long := strings.Repeat("é", maxText)
			p.failure(id, fmt.Sprintf(`"code":1000,"name":%q,"message":%q,"stack":%q,"limit":%q`, long, long, long, long))
		}, err: &call.Failure{Code: call.Exception, Name: strings.Repeat("é", maxText/2), Message: strings.Repeat("é", maxText/2),
			Stack: strings.Repeat("é", maxText/2), Limit: strings.Repeat("é", maxLimit/2), Console: []string{}}},
		{name: "a limit", answer: func(p *peer, id uint64) { p.failure(id, `"code":1004,"limit":"memory"`) },
			err: &call.Failure{Code: call.LimitExceeded, Limit: "memory", Console: []string{}}},
		{name: "a worker lost before the start", answer: func(p *peer, id uint64) { p.failure(id, `"code":1005,"started":false`) },
			err: &call.LostError{Cause: errWorkerDied}},
		{name: "a worker lost under way", answer: func(p *peer, id uint64) { p.failure(id, `"code":1005,"started":true`) },
			err: &call.LostError{Started: true, Cause: errWorkerDied}},
		{name: "a value too deep", answer: func(p *peer, id uint64) { p.result(id, deep) },
			err: &call.Failure{Code: call.NotSerializable, Name: "RangeError", Message: "The value is nested too deeply", Console: []string{}}},
		{name: "a value that is no JSON", answer: func(p *peer, id uint64) { p.result(id, "{") },
			err: &call.Failure{Code: call.NotSerializable, Name: "RangeError", Message: "The value is nested too deeply", Console: []string{}}},
		{name: "a value that is no UTF-8", answer: func(p *peer, id uint64) { p.result(id, "\"\xff\"") },
			err: &call.Failure{Code: call.NotSerializable, Name: "RangeError", Message: "The value is nested too deeply", Console: []string{}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, _ := open(t, testLimits, func(p *peer) {
				id, _, ok := p.nextCall()
				if !ok {
					return
				}
				test.answer(p, id)
				if id, _, ok = p.nextCall(); ok {
					p.result(id, `"next"`)
				}
				p.next()
			})
			if test.err == nil {
				test.result.Container = "scripted"
			}
			result, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute})
			if !reflect.DeepEqual(result, test.result) || !reflect.DeepEqual(err, test.err) {
				t.Errorf("got %+v, %#v\nwant %+v, %#v", result, err, test.result, test.err)
			}
			if result, err = c.Execute(t.Context(), call.Call{Timeout: time.Minute}); string(result.Value) != `"next"` || err != nil {
				t.Errorf("the next call got %s, %v", result.Value, err)
			}
		})
	}
}

func TestHello(t *testing.T) {
	tests := []struct {
		name   string
		answer func(*peer)
		want   string // in the error
	}{
		{"another version", func(p *peer) { p.send(kindHello, `{"version":1}`, "") }, "version 1 of the link, this daemon 5"},
		{"no version", func(p *peer) { p.send(kindHello, `{}`, "") }, "version 0"},
		{"no JSON", func(p *peer) { p.send(kindHello, `hello`, "") }, "hello"},
		{"another kind", func(p *peer) { p.send(kindResult, `{"id":1}`, "") }, "kind 4"},
		{"too long", func(p *peer) { p.raw("\x7f\xff\xff\xff\x01") }, "too long"},
		{"the end", func(*peer) {}, errAgentEnded.Error()},
		{"plain text", func(p *peer) { p.raw("Segmentation fault\n") }, "too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			process := newPeer(t, func(p *peer) {
				p.next()
				test.answer(p)
			})
			_, err := Open(t.Context(), process, testLimits, zerolog.Nop())
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
			<-process.killed
		})
	}
}

func TestHelloThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, reads := range []bool{true, false} {
			process := newPeer(t, func(p *peer) {
				if reads {
					p.next()
				}
				<-t.Context().Done()
			})
			start := time.Now()
			if _, err := Open(t.Context(), process, testLimits, zerolog.Nop()); err == nil {
				t.Error("got a container")
			}
			if waited := time.Since(start); waited != helloTime {
				t.Errorf("waited %v", waited)
			}
			<-process.killed
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		process := newPeer(t, func(p *peer) { p.next(); p.next() })
		if _, err := Open(ctx, process, testLimits, zerolog.Nop()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		<-process.killed
	})
}

func TestAgentIsToldItsLimitsAndClaimsAreBounded(t *testing.T) {
	var told string
	process := newPeer(t, func(p *peer) {
		f, _ := p.next()
		told = string(f.header)
		name := strings.Repeat("m", maxModuleName)
		p.send(kindHello, `{"version":5,"node":"`+strings.Repeat("v", 1000)+`","modules":["`+strings.Repeat(name+`m","`, maxModules)+`"]}`, "")
		p.next()
	})
	c, err := Open(t.Context(), process, testLimits, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const want = `{"version":5,"concurrency":4,"workers":2,"heap":64,"memory":256,"result":1048576,"console":{"lines":3,"bytes":100}}`
	if told != want {
		t.Errorf("told %s\nwant %s", told, want)
	}
	if h := c.Agent(); len(h.Node) != maxNodeName || len(h.Modules) != maxModules || len(h.Modules[0]) != maxModuleName {
		t.Errorf("took %d bytes of name and %d modules, the first %q", len(h.Node), len(h.Modules), h.Modules[:1])
	}
}

func TestCallsShareTheLink(t *testing.T) {
	limits := testLimits
	limits.Concurrency = 16
	c, _ := open(t, limits, func(p *peer) {
		var answers sync.WaitGroup
		defer answers.Wait()
		var writing sync.Mutex // guards p.conn, so that frames stay whole
		for {
			id, body, ok := p.nextCall()
			if !ok {
				return
			}
			answers.Go(func() {
				writing.Lock()
				defer writing.Unlock()
				p.result(id, body)
			})
		}
	})
	var calls sync.WaitGroup
	for i := range 300 {
		calls.Go(func() {
			want := fmt.Sprintf(`{"code":%q}`, strings.Repeat("<>", i*i)) // from nothing to several batches
			result, err := c.Execute(t.Context(), call.Call{Script: []byte(want), Timeout: time.Minute})
			if err != nil || string(result.Value) != want {
				t.Errorf("call %d got %d bytes, %v, want %d bytes", i, len(result.Value), err, len(want))
			}
		})
	}
	calls.Wait()
}
