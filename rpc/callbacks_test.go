package rpc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/call"
)

// said is the value of a script that returns how its callback failed.
func said(message string, code int, data string) string {
	return fmt.Sprintf(`{"value":{"code":%d,"data":%s,"message":"%s"},"console":[],"time":0}`, code, data, message)
}

func valued(v string) string { return `{"value":` + v + `,"console":[],"time":0}` }

func TestCallback(t *testing.T) {
	const (
		noResponse = "the client's answer is no response"
		args       = `[1,"a<b>",1e400]`
	)
	large := `"` + strings.Repeat("x", maxAnswered) + `"`
	eachDialect(t, func(r *rig, a asker) {
		number := 0
		try := func(name, outcome string, answers ...string) {
			t.Helper()
			number++
			a.send(a.execute("7", "ask", `,"callbacks":["f","g"],"execution":"`+fmt.Sprint(number)+`"`))
			a.expect(a.asked(number, "7", fmt.Sprint(number), "f", args))
			id := fmt.Sprint(number)
			for _, answer := range answers {
				a.send(strings.ReplaceAll(answer, "ID", id))
			}
			if got, want := a.receive(), a.response("7", outcome); got != want {
				t.Errorf("%s: got %.300s, want %.300s", name, got, want)
			}
		}
		answer := func(outcome string) string { return a.response("ID", outcome) }
		bare := func(members string) string {
			if a.duplex {
				return `{"type":"rep","id":ID` + members + `}`
			}
			return `{"jsonrpc":"2.0","id":ID` + members + `}`
		}

		try("a value", valued(`{"b":1.0,"a":[null]}`), answer(`{"b":1.0,"a":[null]}`))
		try("null", valued(`null`), answer(`null`))
		try("false", valued(`false`), answer(`false`))
		try("an error", said("x<y>", -5, `{"a":1}`), answer(`{"code":-5,"message":"x<y>","data":{"a":1}}`))
		try("an error without data", said("", 0, `null`), answer(`{"code":0,"message":""}`))
		try("unknown fields of an error", said("m", 1, `null`), answer(`{"code":1,"message":"m","data":null,"stack":"s"}`))
		try("twice", valued(`1`), answer(`1`)+"", answer(`2`), answer(`{"code":1,"message":"m"}`))
		try("of another first", valued(`1`), strings.ReplaceAll(answer(`2`), "ID", "999"), strings.ReplaceAll(answer(`2`), "ID", "0"), answer(`1`))
		try("no error", said(noResponse, -32600, `null`), bare(`,"error":"no"`))
		try("an error without a code", said(noResponse, -32600, `null`), bare(`,"error":{"message":"m"}`))
		try("a code that is none", said(noResponse, -32600, `null`), bare(`,"error":{"message":"m","code":1.5}`))
		try("a message that is none", said(noResponse, -32600, `null`), bare(`,"error":{"message":1,"code":1}`))
		try("too large", said("too large", 0, `null`), answer(large))
		try("as large as may be", valued(large[:maxAnswered-1]+`"`), answer(large[:maxAnswered-1]+`"`))
		if a.duplex {
			try("nothing", valued(`null`), bare(``))
			try("more to come", valued(`2`), bare(`,"more":true,"payload":1`), answer(`2`))
			try("error null", valued(`1`), bare(`,"error":null,"payload":1`))
			try("id a string", valued(`1`), `{"type":"rep","id":"ID","payload":2}`, answer(`1`))
			try("no id", valued(`1`), `{"type":"rep","payload":2}`, answer(`1`))
			return
		}
		try("nothing", said(noResponse, -32600, `null`), bare(``))
		try("both", said(noResponse, -32600, `null`), bare(`,"result":1,"error":{"code":1,"message":"m"}`))
		try("error null", valued(`1`), bare(`,"error":null,"result":1`))
		try("result null", said("m", 1, `null`), bare(`,"error":{"code":1,"message":"m"},"result":null`))
		try("no version", said(noResponse, -32600, `null`), `{"id":ID,"result":1}`)
		try("id a string", valued(`1`), `{"jsonrpc":"2.0","id":"ID","result":2}`, `{"jsonrpc":"2.0","id":null,"result":2}`, answer(`1`))
		try("in a batch", valued(`1`), `[{"jsonrpc":"2.0","method":"runtime.info"},`+answer(`1`)+`,`+answer(`2`)+`]`)
	})
}

// What belongs to nobody is ignored, and the connection lives on.
func TestUnknownResponses(t *testing.T) {
	eachDialect(t, func(_ *rig, a asker) {
		a.send(a.response("1", `1`), a.response("18446744073709551616", `1`), a.response("1", `{"code":1,"message":"m"}`))
		a.expectOutcome(execute, `{"code":"1"}`, `{"value":1,"console":[],"time":3}`)
	})
}

func TestCallbackThatIsNotAllowed(t *testing.T) {
	eachDialect(t, func(_ *rig, a asker) {
		a.expectOutcome(execute, `{"code":"ask another","callbacks":["f"]}`, said("host.g is not allowed: it is not in callbacks", 0, "null"))
	})
}

func TestCallbackThatIsNeverAnswered(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		release := make(chan struct{})
		r.runner.scripts["ask for a time"] = func(ctx ctx, tenant string, c call.Call) (result, error) {
			go func() { _, _ = r.runner.scripts["ask"](ctx, tenant, c) }() // until the call has ended
			<-release
			return r.runner.scripts["overrun"](ctx, tenant, c)
		}
		a.send(a.execute("1", "ask for a time", `,"callbacks":["f"],"execution":"e"`))
		a.expect(a.asked(1, "1", "e", "f", `[1,"a<b>",1e400]`))
		close(release)
		a.expect(a.response("1", `{"code":1002,"message":"Timeout","data":{"limit":"wall"}}`))
		a.send(a.response("1", `"too late"`))
		a.expectOutcome(execute, `{"code":"1"}`, `{"value":1,"console":[],"time":3}`)
	})
}

func TestTenThousandCallbacks(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.send(a.execute("1", "ask ten thousand", `,"callbacks":["f"],"execution":"e"`))
		var answers []string
		for range maxAsked {
			frame := a.receive()
			_, rest, _ := strings.Cut(frame, `"id":`)
			id, _, _ := strings.Cut(rest, `,`)
			_, rest, _ = strings.Cut(frame, `"args":[`)
			arg, _, _ := strings.Cut(rest, `]`)
			answers = append(answers, a.response(id, arg))
		}
		r.eventually("the others are refused", func() bool { return r.runner.refused.Load() == 10_000-maxAsked })
		for i := range answers { // the last is answered first
			a.send(answers[len(answers)-1-i])
		}
		a.expect(a.response("1", valued(`{"right":1000,"refused":9000}`)))
	})
}

// From inside a callback a client may call again, but not into the session that waits for it.
func TestCallsFromInsideACallback(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		s := a.open("1", "")
		a.send(a.inSession(s, "5", "ask", `,"callbacks":["f"],"execution":"e"`))
		a.expect(a.asked(1, "5", "e", "f", `[1,"a<b>",1e400]`))
		a.expectOutcome(execute, `{"session":"`+s+`","code":"read"}`, notAllowed("session"))
		a.expectOutcome(execute, `{"session":"`+s+`","code":"read","execution":"r"}`, notAllowed("session"))
		a.send(a.execute("5", "1", ""))
		a.expect(a.response("5", `{"code":-32600,"message":"Invalid Request: this id is in flight already"}`))

		a.send(a.execute("6", "ask", `,"callbacks":["f"],"execution":"i"`)) // nested
		a.expect(a.asked(2, "6", "i", "f", `[1,"a<b>",1e400]`))
		inner := a.open("1", `,"tenant":"other"`)
		a.expectOutcome(execute, `{"session":"`+inner+`","code":"count"}`, valued("3"))
		a.send(a.response("2", "2"))
		a.expect(a.response("6", valued("2")))
		a.send(a.response("1", "1"))
		a.expect(a.response("5", valued("1")))
		a.expectOutcome(execute, `{"session":"`+s+`","code":"read"}`, valued("2"))

		a.send(a.inSession(s, "5", "ask", `,"callbacks":["f"],"execution":"g"`))
		a.expect(a.asked(3, "5", "g", "f", `[1,"a<b>",1e400]`))
		a.send(a.request("1", closeMethod, `{"session":"`+s+`"}`)) // which ends it, with its call
		a.expectAll(a.response("1", `{}`), a.response("5", cancelled))
	})
}

// A notification has no id to be told by.
func TestCallbackOfNotification(t *testing.T) {
	eachDialect(t, func(r *rig, a asker) {
		a.send(a.execute("", "ask and tell", `,"callbacks":["f"],"execution":"e"`))
		a.expect(a.asked(1, "", "e", "f", `[]`))
		a.send(a.response("1", `"told"`))
		r.running(1)
		if got := <-r.runner.started; got != `"told"` {
			t.Errorf("got %s", got)
		}
	})
}
