package rpc

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const (
	attach = "runtime.attach"
	three  = `{"value":3,"console":[],"time":3}`
)

// waiters waits until n requests wait for a slot to be given back.
func (r *rig) waiters(n int) {
	r.Helper()
	r.eventually("all wait", func() bool { return inFlight(r) == n })
}

func TestExecutionRunsOnce(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		release := make(chan struct{})
		r.runner.scripts["step"] = r.runner.held(release, "3")
		b := a.another(r)
		const e = `,"execution":"e","tenant":"t"`
		a.send(a.execute("1", "step", e))
		r.running(1)
		a.send(a.execute("2", "1", e), a.execute("", "1", e), a.request("3", attach, `{"execution":"e","tenant":"t"}`))
		b.send(b.request("3", attach, `[{"execution":"e","tenant":"t"}]`), b.execute("2", "step", e))
		r.waiters(6)
		b.expectOutcome(attach, `{"execution":"e"}`, unknown)
		b.expectOutcome(execute, `{"code":"1","execution":"e"}`, `{"value":1,"console":[],"time":3}`)
		close(release)
		a.expectAll(a.response("1", three), a.response("2", three), a.response("3", three))
		b.expectAll(b.response("3", three), b.response("2", three))

		a.expectOutcome(execute, `{"code":"anything","execution":"e","tenant":"t","stats":true}`, three)
		b.expectOutcome(attach, `{"execution":"e","tenant":"t"}`, three)
		if n := r.runner.ran("step"); n != 1 {
			t.Errorf("ran %d times", n)
		}
	})
}

// Asked again, an execution is answered also where what it needed is gone.
func TestExecutionIsKnownWithoutItsBundle(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		id := a.putOne(`{"files":{"index.js":"0"}}`)
		params := `{"bundle":"` + id + `","execution":"e"}`
		a.expectOutcome(execute, params, one)
		a.expectOutcome(execute, strings.Replace(params, id, "gone", 1), one)
		a.expectOutcome(execute, `{"bundle":"gone","execution":"f"}`, unknown)
		a.expectOutcome(attach, `{"execution":"f"}`, unknown)
	})
}

// What certainly never began may be run anew, and nothing else.
func TestExecutionThatNeverBegan(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		for code, test := range map[string]struct {
			outcome string
			again   bool
		}{
			"busy":    {`{"code":1006,"message":"Busy","data":{"retryAfter":2}}`, true},
			"lost":    {`{"code":1005,"message":"Sandbox lost","data":{"started":false}}`, true},
			"broken":  {`{"code":1005,"message":"Sandbox lost","data":{"started":true}}`, false},
			"throw":   {`{"code":1000,"message":"TypeError","data":{"message":"x","stack":"at main.js:1"}}`, false},
			"odd":     {`{"code":-32603,"message":"Internal error"}`, false},
			"overrun": {`{"code":1002,"message":"Timeout","data":{"limit":"wall"}}`, false},
		} {
			a.expectOutcome(execute, `{"code":"`+code+`","execution":"`+code+`"}`, test.outcome)
			a.expectOutcome(attach, `{"execution":"`+code+`"}`, test.outcome)
			want := test.outcome
			if test.again {
				want = `{"value":1,"console":[],"time":3}`
			}
			a.expectOutcome(execute, `{"code":"1","execution":"`+code+`"}`, want)
			a.expectOutcome(attach, `{"execution":"`+code+`"}`, want)
		}
	})
}

func TestExecutionWithoutName(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.send(a.execute("1", "ask", `,"callbacks":["f"]`))
		_, rest, _ := strings.Cut(a.receive(), `"execution":"`)
		name, _, _ := strings.Cut(rest, `"`)
		if len(name) < 10 {
			t.Fatalf("got %q", name)
		}
		b := a.another(r)
		b.send(b.request("1", attach, `{"execution":"`+name+`"}`))
		r.waiters(2)
		a.send(a.response("1", "7"))
		for _, p := range []asker{a, b} {
			if got, want := p.outcome(), `{"value":7,"console":[],"time":0}`; got != want {
				t.Errorf("got %s", got)
			}
		}
		a.expectOutcome(attach, `{"execution":"`+name+`"}`, unknown) // it was not asked to be kept
	})
}

func TestDetachedCallOutlivesItsConnection(t *testing.T) {
	for _, whenGone := range []bool{false, true} {
		eachDialect(t, func(r *rig, a asker) {
			release := make(chan struct{})
			r.runner.scripts["step"] = r.runner.held(release, "3")
			a.send(a.execute("1", "step", `,"execution":"e","detach":true`), a.execute("2", "step", `,"execution":"f"`))
			r.running(2)
			_ = a.conn.CloseNow()
			r.eventually("the connection is gone", func() bool { return open(r) == 0 })
			b := a.another(r)
			if whenGone {
				close(release)
				r.eventually("it has ended", func() bool { return strings.Contains(r.log.String(), `"ok"`) })
				b.expectOutcome(attach, `{"execution":"e"}`, three)
			} else {
				b.send(b.request("1", attach, `{"execution":"e"}`))
				r.waiters(1)
				close(release)
				b.expect(b.response("1", three))
			}
			b.expectOutcome(execute, `{"code":"step","execution":"e"}`, three)
			b.expectOutcome(execute, `{"code":"step","execution":"f"}`, cancelled) // and is not run again
			if n := r.runner.ran("step"); n != 2 {
				t.Errorf("ran %d times", n)
			}
		})
	}
}

// It answers on its connection while there is one, also by POST.
func TestDetachedCallAnswers(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.expectOutcome(execute, `{"code":"1","detach":true}`, `{"value":1,"console":[],"time":3}`)
		a.expectOutcome(execute, `{"code":"throw","detach":true,"execution":"e"}`,
			`{"code":1000,"message":"TypeError","data":{"message":"x","stack":"at main.js:1"}}`)
		a.send(a.execute("", "1", `,"detach":true,"execution":"n"`))
		a.expectOutcome(attach, `{"execution":"n"}`, `{"value":1,"console":[],"time":3}`)
	})
	r := start(t)
	_, body := r.post(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":"1","detach":true,"execution":"e"}}`)
	_, again := r.post(`{"jsonrpc":"2.0","id":1,"method":"runtime.attach","params":{"execution":"e"}}`)
	if body != result1(`1`) || again != body {
		t.Errorf("got %s and %s", body, again)
	}
}

func TestDetachedCallLosesItsClient(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.send(a.execute("1", "ask and tell", `,"execution":"e","detach":true,"callbacks":["f"],"stream":true`))
		r.running(1)
		a.expect(a.asked(1, "1", "e", "f", "[]"))
		_ = a.conn.CloseNow()
		b := a.another(r)
		b.expectOutcome(attach, `{"execution":"e"}`, `{"value":{"code":0,"data":null,"message":"the client is gone"},"console":[],"time":0}`)
	})
}

func TestShutdownWaitsForDetachedCalls(t *testing.T) {
	r := start(t)
	release := make(chan struct{})
	r.runner.scripts["step"] = r.runner.held(release, "3")
	a := asker{r.dial(), false}
	a.send(a.execute("1", "step", `,"detach":true`))
	r.running(1)
	_ = a.conn.CloseNow()
	r.eventually("the connection is gone", func() bool { return open(r) == 0 })
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(context.Background()) }()
	r.eventually("it has begun", func() bool { return r.get("/readyz") == 503 })
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned %v under a call", err)
	default:
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownOutOfTimeCancelsDetachedCalls(t *testing.T) {
	r := start(t)
	a := asker{r.dial(), false}
	a.send(a.execute("1", "stubborn", `,"detach":true`), a.execute("2", "stubborn", `,"detach":true`))
	r.running(2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(ctx) }()
	const stubborn = `{"code":1003,"message":"Cancelled","data":{"console":["before"]}}`
	a.expectAll(a.response("1", stubborn), a.response("2", stubborn))
	a.expectClose(websocket.StatusGoingAway, "shutting down")
	if err := <-done; err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}
