package rpc

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

func (e *executions) run(t *testing.T, tenant, id string, bytes int) {
	t.Helper()
	answered := -1
	x, own := e.claim(tenant, id, true, &waiter{func(result json.RawMessage, err error) { answered = len(result) }, func() {}})
	if !own {
		t.Fatalf("%s of %s is known", id, tenant)
	}
	e.complete(x, make(json.RawMessage, bytes), nil)
	if answered != bytes {
		t.Errorf("its own request was answered with %d bytes", answered)
	}
}

// known tells which executions are.
func (e *executions) knows(names ...executionName) string {
	s := ""
	for _, name := range names {
		switch x := e.find(name); {
		case x == nil:
			s += "-"
		case x.outcome.err != nil:
			s += "e"
		default:
			s += "+"
		}
	}
	return s
}

func TestOutcomesAreKeptForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExecutions(&Config{Policy: allowed(Policy{RetainTime: 5 * time.Minute, RetainBytes: 1 << 20}), RetainAllBytes: 1 << 20})
		a, b := executionName{"t", "a"}, executionName{"t", "b"}
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "+-"}, {3 * time.Minute, "++"}, {2*time.Minute + time.Second, "-+"}, {3 * time.Minute, "--"}} {
			time.Sleep(step.after)
			switch step.want {
			case "+-":
				e.run(t, "t", "a", 1)
			case "++":
				e.run(t, "t", "b", 1)
			}
			synctest.Wait()
			if got := e.knows(a, b); got != step.want {
				t.Errorf("after %v: %s, want %s", step.after, got, step.want)
			}
		}
		if len(e.expiring) != 0 || e.retained.Size() != 0 {
			t.Errorf("something is left: %+v", e)
		}
		e.run(t, "t", "a", 1)
		e.stop()
		time.Sleep(time.Hour)
		if e.knows(a) != "+" {
			t.Error("stopped, but forgets")
		}
	})
}

func TestOutcomesAreKeptWithinBounds(t *testing.T) {
	e := newExecutions(&Config{Policy: allowed(Policy{RetainTime: time.Hour, RetainBytes: 10_000}), RetainAllBytes: 25_000})
	defer e.stop()
	names := func(tenant string) (all []executionName) {
		for i := range 4 {
			all = append(all, executionName{tenant, fmt.Sprint(i)})
		}
		return all
	}
	expect := func(tenant, want string) {
		t.Helper()
		if got := e.knows(names(tenant)...); got != want {
			t.Errorf("%s: %s, want %s", tenant, got, want)
		}
	}
	for i := range 3 {
		e.run(t, "a", fmt.Sprint(i), 4000)
	}
	expect("a", "-++-") // its oldest is gone
	e.run(t, "b", "0", 4000)
	e.run(t, "b", "1", 4000)
	expect("a", "-++-")
	e.run(t, "c", "0", 4000)
	e.run(t, "c", "1", 4000)
	expect("a", "--+-") // the oldest of all is gone
	expect("b", "++--")
	expect("c", "++--")
	e.run(t, "c", "2", 9_900)
	expect("c", "++e-") // too large to be kept, and known all the same
	if x := e.find(executionName{"c", "2"}); wireError(x.outcome.err).Code != int64(call.LimitExceeded) || e.ran(x.name) != x {
		t.Errorf("got %+v", x.outcome)
	}
	for i := range 100 {
		e.run(t, "d", fmt.Sprint("many", i), 0)
	}
	if got, most := len(e.known), 25_000/retainedOverhead; got > most {
		t.Errorf("%d are known, at most %d fit", got, most)
	}
}
