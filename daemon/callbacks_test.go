package daemon_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const limitOfArgs = 65536 // it is that of results

func TestCallbacks(t *testing.T) {
	crowd := tenantsFile(t, "tenants: {crowd: {cpuBudget: 20s}}")
	everywhereWith(t, []string{"--tenants", crowd, "--cpu-budget", "300ms", "--result", fmt.Sprint(limitOfArgs)}, func(t *testing.T, dial func(*testing.T) *client) {
		c := dial(t)
		noResponse := `["the client's answer is no response",-32600]`
		missing := noResponse
		if c.Duplex {
			missing = "null"
		}
		c.Answers(answerByName)
		names := list("echo", "fail", "slow", "never", "empty", "both", "badError", "twice", "nested", "large")
		tell := ".catch(e => e.data === undefined ? [e.message, e.code] : [e.message, e.code, e.data])"
		for _, test := range []struct{ code, want string }{
			{"host.echo(7, 'a', null, undefined, {b: [1]})", `[7,"a",null,null,{"b":[1]}]`},
			{"host.echo()", "[]"},
			{"host.fail()" + tell, `["nobody",404,{"id":7}]`},
			{"host.fail().catch(e => e instanceof Error && host.echo() instanceof Promise)", "true"},
			{"host.fail()", "1000 Error"},
			{"host.slow(600)", "600"}, // waiting is not processor time
			{"host.never()", "1002 Timeout"},
			{"host.empty()" + tell, missing},
			{"host.badError()" + tell, noResponse},
			{"host.twice()", "1"},
			{"host.nested(3)", `"321"`},
			{"host.large(15_000_000).then(s => s.length)", "15000000"},
			{fmt.Sprintf("host.echo('x'.repeat(%d))"+tell+".then(e => /large|callbacks/.test(e[0]))", limitOfArgs), "true"},
			{"host.echo(1n).catch(e => e.name)", `"TypeError"`},
			{"Promise.resolve().then(() => host.other()).catch(e => e.message)", `"host.other is not a function"`},
			{"host.echo(1); 2", "2"}, // nobody waits for it: the end comes first, and the answer late
			{"host.echo(2)", "[2]"},
		} {
			t.Run(test.code, func(t *testing.T) {
				timeout := 20_000 // 15 MB take seconds under the race detector
				if test.want == "1002 Timeout" {
					timeout = 300
				}
				got := c.Execute(script{"code": test.code, "callbacks": names, "timeout": timeout})
				if got.String() != test.want {
					t.Errorf("got %v %s, want %s", got, got.Data("message"), test.want)
				}
			})
		}
		if got := c.Execute(script{"code": "typeof host"}).String(); got != `"undefined"` {
			t.Errorf("without callbacks: %s", got)
		}
		t.Run("in parallel", func(t *testing.T) { testCallbacksInParallel(t, dial(t), 50, 50) })
		t.Run("ten thousand at once", func(t *testing.T) { testCallbacksInParallel(t, dial(t), 10_000, 1000) })
	})
}

func answerByName(b callback) {
	switch b.Name {
	case "fail":
		b.Reject(404, "nobody", script{"id": 7})
	case "slow":
		time.Sleep(600 * time.Millisecond)
		b.Resolve(600)
	case "never":
	case "empty":
		b.Respond(nil)
	case "badError":
		b.Respond(script{"error": "no"})
	case "twice":
		b.Resolve(1)
		b.Resolve(2)
	case "nested":
		var n int
		if json.Unmarshal(b.Args[0], &n); n == 1 {
			b.Resolve("1")
			return
		}
		inner := b.Client.Execute(script{"code": fmt.Sprintf("host.nested(%d)", n-1), "callbacks": list("nested")})
		b.Resolve(fmt.Sprint(n) + strings.Trim(inner.String(), `"`))
	case "large":
		b.Resolve(strings.Repeat("x", 15_000_000))
	default:
		b.Resolve(b.Args)
	}
}

// testCallbacksInParallel makes more callbacks than the client answers before it has as many as may wait.
func testCallbacksInParallel(t *testing.T, c *client, made, wait int) {
	var asked atomic.Int64
	all, over := make(chan struct{}), make(chan struct{})
	defer close(over)
	c.Answers(func(b callback) {
		if asked.Add(1) == int64(wait) {
			close(all)
		}
		select {
		case <-all:
			b.Resolve(b.Args[0])
		case <-over:
		}
	})
	got := c.Execute(script{"tenant": "crowd", "callbacks": list("f"), "timeout": 30000, "code": fmt.Sprintf(`
		Promise.allSettled(Array.from({length: %d}, (_, i) => host.f(i))).then(all => [
			all.filter((r, i) => r.status === "fulfilled" && r.value === i).length,
			all.filter(r => r.status === "rejected" && /more than 1000/.test(r.reason.message)).length])`, made)})
	if want := fmt.Sprintf("[%d,%d]", wait, made-wait); got.String() != want {
		t.Errorf("got %v, want %s", got.Whole(), want)
	}
	if got := c.Execute(script{"code": "3"}).String(); got != "3" {
		t.Errorf("the next call got %s", got)
	}
}
