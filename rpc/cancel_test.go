package rpc

import (
	"testing"
)

const (
	cancel  = "runtime.cancel"
	yes, no = `{"cancelled":true}`, `{"cancelled":false}`
)

// In every state a call is found by its id, and by its execution from any connection of the tenant.
func TestCancelInEveryState(t *testing.T) {
	for state, enter := range map[string]func(r *rig, a asker){
		"right behind its request": func(_ *rig, a asker) { a.send(a.execute("1", "wait", `,"execution":"e"`)) },
		"waiting in the queue": func(r *rig, a asker) {
			a.send(a.execute("1", "wait", `,"execution":"e"`))
			r.running(1)
		},
		"running": func(r *rig, a asker) {
			a.send(a.execute("1", "held", `,"execution":"e"`))
			r.running(1)
		},
		"waiting for a callback": func(_ *rig, a asker) {
			a.send(a.execute("1", "ask", `,"execution":"e","callbacks":["f"]`))
			a.expect(a.asked(1, "1", "e", "f", `[1,"a<b>",1e400]`))
		},
		"detached": func(r *rig, a asker) {
			a.send(a.execute("1", "wait", `,"execution":"e","detach":true`))
			r.running(1)
		},
		"asked for again": func(r *rig, a asker) {
			b := a.another(r)
			b.send(b.execute("9", "wait", `,"execution":"e","detach":true`))
			r.running(1)
			a.send(a.execute("1", "wait", `,"execution":"e"`))
			r.waiters(2)
		},
		"running in a session": func(r *rig, a asker) {
			a.send(a.inSession(a.open("1", ""), "1", "wait", `,"execution":"e"`))
			r.running(1)
		},
		"waiting its turn in a session": func(r *rig, a asker) {
			s := a.open("1", "")
			a.send(a.inSession(s, "7", "wait", ""), a.inSession(s, "1", "never", `,"execution":"e"`))
			r.running(1)
			r.waiters(2)
		},
	} {
		t.Run(state, func(t *testing.T) {
			eachDialect(t, func(r *rig, a asker) {
				r.runner.scripts["held"] = r.runner.held(nil, "")
				enter(r, a)
				a.send(a.request("2", cancel, `{"id":1}`))
				a.expectAll(a.response("1", cancelled), a.response("2", yes))
				a.expectOutcome(cancel, `{"id":1}`, no)
				a.expectOutcome(cancel, `{"execution":"e"}`, no)
				a.expectOutcome(attach, `{"execution":"e"}`, cancelled)
			})
			eachDialect(t, func(r *rig, a asker) {
				r.runner.scripts["held"] = r.runner.held(nil, "")
				enter(r, a)
				b := a
				if state != "right behind its request" {
					b = a.another(r)
				}
				if b != a {
					b.expectOutcome(cancel, `{"execution":"e","tenant":"other"}`, no)
				}
				b.send(b.request("2", cancel, `{"execution":"e","tenant":"default"}`))
				if b == a {
					a.expectAll(a.response("1", cancelled), a.response("2", yes))
				} else {
					b.expect(b.response("2", yes))
					a.expect(a.response("1", cancelled))
				}
				if r.runner.ran("never") > 0 {
					t.Error("a call ran whose turn had not come")
				}
			})
		})
	}
}

// Who attached waits no longer; the call goes on.
func TestCancelAttach(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		release := make(chan struct{})
		r.runner.scripts["step"] = r.runner.held(release, "3")
		a.send(a.execute("1", "step", `,"execution":"e"`), a.request("2", attach, `{"execution":"e"}`))
		r.waiters(2)
		a.send(a.request("3", cancel, `{"id":2}`))
		a.expectAll(a.response("2", cancelled), a.response("3", yes))
		close(release)
		a.expect(a.response("1", three))
	})
}
