package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// policies are those of tenants by name, the zero one for all others.
type policies struct {
	mu sync.Mutex
	of map[string]Policy
}

func (ps *policies) set(tenant string, p Policy) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.of[tenant] = p
}

func (ps *policies) get(tenant string) Policy {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.of[tenant]
}

func newPolicies(tenant string, p Policy) *policies {
	return &policies{of: map[string]Policy{tenant: p}}
}

func (ps *policies) use(c *Config) { c.Policy = ps.get }

// What a tenant may not is refused to it, and to no other.
func TestPolicyPermits(t *testing.T) {
	const js, ts = `"files":{"index.js":"1","a.ts":""}`, `"files":{"index.ts":"1","a.mjs":""}`
	for _, test := range []struct {
		name             string
		policy           Policy
		method           string
		params, forbids  string // forbids: what, empty: the tenant may
		othersAreRefused bool
	}{
		{"timeout", Policy{MaxTimeout: 5 * time.Second}, execute, `"code":"x","timeout":5001`, "timeout", false},
		{"its maximum", Policy{MaxTimeout: 5 * time.Second}, execute, `"code":"x","timeout":5000`, "", false},
		{"more than others", Policy{MaxTimeout: 5 * time.Minute}, execute, `"code":"x","timeout":300000`, "", true},
		{"memory", Policy{Memory: 64}, execute, `"code":"x","memory":65`, "memory", false},
		{"all its memory", Policy{Memory: 64}, execute, `"code":"x","memory":64`, "", false},
		{"memory of a session", Policy{Memory: 64}, openMethod, `"code":"x","memory":65`, "memory", false},
		{"language", Policy{Languages: []string{"javascript"}}, execute, `"code":"x","language":"typescript"`, "language", false},
		{"the default language", Policy{Languages: []string{"typescript"}}, execute, `"code":"x"`, "language", false},
		{"its own language", Policy{Languages: []string{"typescript"}}, execute, `"code":"x","language":"typescript"`, "", false},
		{"language of a session", Policy{Languages: []string{"javascript"}}, openMethod, `"code":"x","language":"typescript"`, "language", false},
		{"entry of a source tree", Policy{Languages: []string{"javascript"}}, execute, ts, "language", false},
		{"entry named", Policy{Languages: []string{"javascript"}}, execute, js + `,"file":"a.ts"`, "language", false},
		{"entry in the other one", Policy{Languages: []string{"typescript"}}, execute, ts + `,"file":"a.mjs"`, "language", false},
		{"entry allowed", Policy{Languages: []string{"typescript"}}, execute, ts, "", false},
		{"reuse", Policy{OneShot: true}, execute, `"code":"x","reuse":"tenant"`, "reuse", false},
		{"session", Policy{OneShot: true}, openMethod, `"code":"x"`, "reuse", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, newPolicies("acme", test.policy).use)
			a := asker{r.dial(), false}
			for tenant, refused := range map[string]bool{"acme": test.forbids != "", "other": test.othersAreRefused} {
				got := a.ask(test.method, `{`+test.params+`,"tenant":"`+tenant+`"}`)
				if (strings.Contains(got, `"code":1007`)) != refused || refused && test.forbids != "" && got != notAllowed(test.forbids) {
					t.Errorf("%s: got %s", tenant, got)
				}
			}
		})
	}
}

func TestPolicyOfABundlesLanguage(t *testing.T) {
	r := start(t, newPolicies("acme", Policy{Languages: []string{"javascript"}}).use)
	a := asker{r.dial(), false}
	id := a.putOne(`{"files":{"index.ts":"","a.js":""},"tenant":"acme"}`)
	a.expectOutcome(execute, `{"bundle":"0","tenant":"acme"}`, unknown)
	a.expectOutcome(execute, `{"bundle":"`+id+`","tenant":"acme"}`, notAllowed("language"))
	a.expectOutcome(execute, `{"bundle":"`+id+`","file":"index.ts","tenant":"acme"}`, notAllowed("language"))
	a.expectOutcome(execute, `{"bundle":"`+id+`","file":"a.js","tenant":"acme"}`, one)
}

func TestPolicyShapesCalls(t *testing.T) {
	ps := newPolicies("acme", Policy{Timeout: 2 * time.Second, CPUBudget: time.Second})
	ps.set("once", Policy{OneShot: true, CPUBudget: time.Hour})
	r := start(t, ps.use)
	a := asker{r.dial(), false}
	seen := func(params string, timeout, cpu time.Duration, once bool) {
		t.Helper()
		a.expectOutcome(execute, params, one)
		if c := <-r.runner.seen; c.Timeout != timeout || c.CPU != cpu || c.OneShot != once {
			t.Errorf("%s: %v, %v, %v", params, c.Timeout, c.CPU, c.OneShot)
		}
	}
	seen(`{"code":"x"}`, 3*time.Second, 3*time.Second, false)
	seen(`{"code":"x","tenant":"acme"}`, 2*time.Second, time.Second, false)
	seen(`{"code":"x","tenant":"acme","timeout":500}`, 500*time.Millisecond, 500*time.Millisecond, false)
	seen(`{"code":"x","tenant":"acme","reuse":"call"}`, 2*time.Second, time.Second, true)
	seen(`{"code":"x","tenant":"once"}`, 3*time.Second, 3*time.Second, true)

	id := a.ask(openMethod, `{"code":"x","tenant":"acme"}`)
	s := strings.Split(id, `"`)[3]
	if c := <-r.runner.seen; c.Timeout != 2*time.Second || c.CPU != time.Second {
		t.Errorf("openMethod a session: %v, %v", c.Timeout, c.CPU)
	}
	seen(`{"session":"`+s+`","code":"x"}`, 2*time.Second, time.Second, false)
	ps.set("acme", Policy{Timeout: time.Second, MaxTimeout: time.Second})
	seen(`{"session":"`+s+`","code":"x"}`, time.Second, time.Second, false)
	a.expectOutcome(execute, `{"session":"`+s+`","code":"x","timeout":1001}`, notAllowed("timeout"))
	a.expectOutcome(execute, `{"session":"another","code":"x","timeout":60001}`, notAllowed("timeout"))
	a.expectOutcome(execute, `{"session":"another","code":"x","timeout":1001}`, unknown)
}

func TestPolicyBoundsSessionsAndBundles(t *testing.T) {
	ps := newPolicies("acme", Policy{Sessions: 1, Bundles: 9000})
	r := start(t, ps.use)
	a := asker{r.dial(), false}
	a.open("1", `,"tenant":"acme"`)
	a.expectOutcome(openMethod, `{"code":"1","tenant":"acme"}`, `{"code":1004,"message":"Limit exceeded","data":{"limit":"sessions"}}`)
	for range 8 {
		a.open("1", "")
	}
	large := func(tenant string) string {
		return `{"files":` + sourceOf("a", 10_000) + `,"tenant":"` + tenant + `"}`
	}
	a.expectOutcome(put, large("acme"), tooLarge)
	a.putOne(large("other"))
	ps.set("acme", Policy{Sessions: 2})
	a.putOne(large("acme"))
	a.open("1", `,"tenant":"acme"`)
}

// One connection's uploads for a tenant that may have little do not count those for another.
func TestUploadsOfTwoTenants(t *testing.T) {
	r := start(t, newPolicies("acme", Policy{Bundles: 9000}).use)
	a := asker{r.dial(), false}
	more := func(tenant string, bytes int) string {
		return `{"files":` + sourceOf("a", bytes) + `,"upload":"` + tenant + `","more":true,"tenant":"` + tenant + `"}`
	}
	a.expectOutcome(put, more("other", 20_000), `{"upload":"other"}`)
	a.expectOutcome(put, more("acme", 4000), `{"upload":"acme"}`)
	a.expectOutcome(put, more("acme", 10_000), tooLarge)
}

func TestIdleLimitOfATenantsSession(t *testing.T) {
	r := start(t, newPolicies("acme", Policy{SessionIdle: time.Millisecond}).use)
	a := asker{r.dial(), false}
	a.open("1", "")
	a.open("1", `,"tenant":"acme"`)
	r.eventually("it has ended", func() bool { return sessionsOf(r, "acme") == 0 })
	if sessionsOf(r, "default") != 1 {
		t.Error("another tenant's ended, too")
	}
}

func TestTimesOfKeptOutcomesAreTheTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := newPolicies("long", Policy{RetainTime: time.Hour})
		ps.set("short", Policy{RetainTime: time.Minute, RetainBytes: 5000})
		e := newExecutions(&Config{Policy: ps.get, RetainAllBytes: 1 << 20})
		long, short, small := executionName{"long", "a"}, executionName{"short", "a"}, executionName{"short", "b"}
		e.run(t, "long", "a", 1)
		e.run(t, "short", "a", 3000)
		e.run(t, "short", "b", 1)
		expect := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := e.knows(long, short, small); got != want {
				t.Errorf("after %v: %s, want %s", after, got, want)
			}
		}
		expect(0, "+++")
		ps.set("short", Policy{RetainTime: 10 * time.Second, RetainBytes: 2000})
		e.run(t, "short", "c", 1) // its bounds are smaller now: for it, and for how much may stay
		expect(0, "+-+")
		expect(11*time.Second, "+-+") // but not for how long what is there stays
		if e.knows(executionName{"short", "c"}) != "-" {
			t.Error("c is kept as long as those before")
		}
		expect(50*time.Second, "+--")
		expect(time.Hour, "---")
		if len(e.expiring) != 0 || e.retained.Len() != 0 {
			t.Error("something is left")
		}
	})
}

const (
	tooManyCalls       = `{"code":1006,"message":"Busy","data":{"retryAfter":100}}`
	tooManyConnections = `{"code":1004,"message":"Limit exceeded","data":{"limit":"connections"}}`
	frameTooLong       = `{"code":1004,"message":"Limit exceeded","data":{"limit":"frame"}}`
)

func TestCallsInFlightOfATenant(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		waits := `{"code":"wait","tenant":"acme"}`
		a.send(a.request("11", execute, waits), a.request("12", execute, waits))
		r.running(2)
		a.expectOutcome(execute, `{"code":"x","tenant":"acme"}`, tooManyCalls)
		a.expectOutcome(execute, `{"code":"x"}`, one)
		a.another(r).expectOutcome(execute, `{"code":"x","tenant":"acme"}`, one) // each connection has as many
		a.send(a.request("13", cancel, `{"id":11}`))
		a.expectAll(a.response("11", cancelled), a.response("13", yes))
		a.expectOutcome(execute, `{"code":"x","tenant":"acme"}`, one)
		a.expectOutcome(execute, `{"code":"x","tenant":"acme"}`, one) // and it gives its place back
	}, newPolicies("acme", Policy{InFlight: 2}).use)
}

func TestConnectionsOfATenant(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		call := `{"code":"x","tenant":"acme"}`
		a.expectOutcome(execute, call, one)
		a.expectOutcome(execute, call, one)
		b := a.another(r)
		for range 3 {
			b.expectOutcome(execute, `{"code":"x","tenant":"acme","timeout":60001}`, notAllowed("timeout")) // is none of its calls
		}
		c := a.another(r)
		c.expectOutcome(put, `{"files":{"index.js":""},"tenant":"acme"}`, `{"bundle":"`+a.putOne(`{"files":{"index.js":""},"tenant":"acme"}`)+`"}`)
		b.expectOutcome(execute, call, tooManyConnections)
		b.expectOutcome(openMethod, call, tooManyConnections)
		b.expectOutcome(put, `{"files":{"index.js":""},"tenant":"acme"}`, tooManyConnections)
		b.expectOutcome(execute, `{"code":"x"}`, one)
		_ = a.conn.CloseNow()
		r.eventually("its place is free", func() bool { return b.ask(execute, call) == one })
		c.expectOutcome(execute, call, one)
		_, body := r.post(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":` + call + `}`)
		if want := `{"jsonrpc":"2.0","id":1,"error":` + tooManyConnections + `}`; body != want {
			t.Errorf("a POST is a connection, too: %s", body)
		}
		_ = b.conn.CloseNow()
		_ = c.conn.CloseNow()
		r.eventually("nothing is counted any more", func() bool {
			r.service.connections.mu.Lock()
			defer r.service.connections.mu.Unlock()
			return len(r.service.connections.of) == 0
		})
	}, newPolicies("acme", Policy{Connections: 2}).use)
}

func TestFrameOfATenant(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		long := strings.Repeat("x", 1000)
		s := a.open("1", `,"tenant":"acme"`)
		for method, params := range map[string]string{
			execute:          `{"code":"` + long + `","tenant":"acme","timeout":999999}`, // before 1007
			openMethod:       `{"code":"` + long + `","tenant":"acme"}`,
			put:              `{"files":{"a":"` + long + `"},"tenant":"acme"}`,
			"runtime.attach": `{"execution":"x","tenant":"acme"` + strings.Repeat(" ", 1000) + `}`,
		} {
			a.expectOutcome(method, params, frameTooLong)
			if got := a.ask(method, strings.ReplaceAll(params, "acme", "other")); got == frameTooLong {
				t.Errorf("%s: refused to another tenant", method)
			}
		}
		a.expectOutcome(execute, `{"session":"`+s+`","code":"`+long+`"}`, frameTooLong)
		a.expectOutcome(execute, `{"code":"x","tenant":"acme"}`, one)
		if a.duplex {
			return
		}
		// each request of a batch is judged by itself
		small := `{"jsonrpc":"2.0","id":%d,"method":"runtime.execute","params":{"code":"x","tenant":"acme"}}`
		var batch []string
		for i := range 20 {
			batch = append(batch, fmt.Sprintf(small, i))
		}
		a.send("[" + strings.Join(batch, ",") + "]")
		var replies []json.RawMessage
		if err := json.Unmarshal([]byte(a.receive()), &replies); err != nil || strings.Contains(fmt.Sprintf("%s", replies), "error") {
			t.Errorf("%v, %s", err, replies)
		}
	}, newPolicies("acme", Policy{Frame: 500}).use)
}

func TestInfoIsOfTheTenantOfRequestsThatNameNone(t *testing.T) {
	r := start(t, newPolicies("default", Policy{Languages: []string{"javascript"}}).use, func(c *Config) {
		c.Limits = func(tenant string) map[string]int64 { return map[string]int64{tenant: 5} }
	})
	got := asker{r.dial(), false}.ask("runtime.info", `{}`)
	for _, want := range []string{`"limits":{"default":5}`, `"languages":["javascript"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAPolicyIsWithinTheBoundsOfTheConfig(t *testing.T) {
	c := Config{Policy: allowed(Policy{Connections: 5, InFlight: 1 << 30, Frame: 1 << 40})}.withDefaults()
	if p := c.policy("acme"); p.Connections != 5 || p.InFlight != 1024 || p.Frame != 16<<20 {
		t.Errorf("got %+v", p)
	}
}
