package rpc

import (
	"strings"
	"testing"
)

func TestStream(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		const value = `{"value":0,"console":["a<b>","two\nlines","***"],"time":1}`
		a.send(a.execute("1", "stream", `,"stream":true,"execution":"e","secrets":{"k":"my secret"}`))
		a.expect(a.printed("1", "e", "log", `"a<b>"`), a.printed("1", "e", "warn", `"two\nlines"`), a.printed("1", "e", "error", `"***"`),
			a.response("1", value))
		a.expectOutcome(execute, `{"code":"stream","stream":false,"secrets":{"k":"my secret"}}`, value)
		a.expectOutcome(execute, `{"code":"stream","stream":true,"execution":"e"}`, value) // the outcome of the first, and no more
		a.send(a.request("1", openMethod, `{"code":"stream","stream":true}`))
		for range 3 {
			if got := a.receive(); !strings.Contains(got, `"level":`) {
				t.Errorf("got %s", got)
			}
		}
		if got := a.outcome(); !strings.Contains(got, `{"session":`) {
			t.Errorf("got %s", got)
		}
	})
}

func TestStreamOfNotification(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.send(a.execute("", "stream", `,"stream":true,"execution":"e"`))
		if !a.duplex { // which has no frame for it
			a.expect(a.printed("", "e", "log", `"a<b>"`), a.printed("", "e", "warn", `"two\nlines"`), a.printed("", "e", "error", `"my secret"`))
		}
		a.expectOutcome(execute, `{"code":"1"}`, `{"value":1,"console":[],"time":3}`)
	})
}

func TestDuplexStreamEchoesExt(t *testing.T) {
	a := asker{start(t).dialDuplex(), true}
	a.send(`{"type":"req","id":1,"ext":{"a":1.0},"method":"runtime.execute","payload":{"code":"stream","stream":true}}`)
	a.expect(`{"type":"rep","id":1,"more":true,"payload":{"console":{"level":"log","text":"a<b>"}},"ext":{"a":1.0}}`)
}

// In a batch, requests of all kinds, responses and nonsense go together: what is printed comes at
// once, and the replies in one frame at the end.
func TestBatchOfAll(t *testing.T) {
	r := start(t)
	a := asker{r.dial(), false}
	s := a.open("1", "")
	a.send(a.execute("9", "ask", `,"callbacks":["f"],"execution":"e"`))
	a.expect(a.asked(1, "9", "e", "f", `[1,"a<b>",1e400]`))
	a.send(`[` + strings.Join([]string{
		a.inSession(s, "1", "count", ""), a.inSession(s, "2", "wait", ""), a.request("3", cancel, `{"id":2}`),
		a.request("4", attach, `{"execution":"e"}`), a.response("1", "5"), a.response("8", "5"), `7`,
		a.execute("", "1", `,"execution":"n"`), a.execute(`"s"`, "stream", `,"stream":true,"execution":"x"`),
		a.request("5", closeMethod, `{"session":"none"}`), a.request("6", attach, `{"execution":"none"}`), a.execute("4", "1", ""),
	}, ",") + `]`)
	a.expectAll(
		a.response("9", valued("5")),
		a.printed(`"s"`, "x", "log", `"a<b>"`), a.printed(`"s"`, "x", "warn", `"two\nlines"`), a.printed(`"s"`, "x", "error", `"my secret"`),
		`[`+strings.Join([]string{
			a.response("1", valued("3")), a.response("2", cancelled), a.response("3", yes), a.response("4", valued("5")),
			failure1(`null`, -32600, `"message":"Invalid Request: a request is an object"`),
			a.response(`"s"`, `{"value":0,"console":["a<b>","two\nlines","my secret"],"time":1}`),
			a.response("5", unknown), a.response("6", unknown),
			failure1(`4`, -32600, `"message":"Invalid Request: this id is in flight already"`),
		}, ",")+`]`)
	a.expectOutcome(attach, `{"execution":"n"}`, `{"value":1,"console":[],"time":3}`)
}

// Who does not read what is printed loses the connection, and nobody else anything.
func TestSlowReaderOfStream(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		other := a.another(r)
		a.send(a.execute("1", "flood", `,"stream":true,"execution":"e","detach":true`))
		r.eventually("the slow reader is gone", func() bool { return open(r) == 1 })
		if !strings.Contains(r.log.String(), "does not read") {
			t.Errorf("not said in the log: %s", r.log)
		}
		other.expectOutcome(attach, `{"execution":"e"}`, valued("0"))
	}, func(c *Config) { c.MaxUnsent = 1 << 20 })
}
