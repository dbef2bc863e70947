package rpc

import (
	"strings"
	"testing"
)

// An asker calls a method and gives its outcome, which is the same in both dialects: the result, or
// the error as "code message" with its data behind it, if there is any.
type asker struct {
	*peer
	duplex bool
}

func (a asker) ask(method, params string) string {
	a.Helper()
	if a.duplex {
		a.send(`{"type":"req","id":1,"method":"` + method + `","payload":` + params + `}`)
	} else {
		a.send(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`)
	}
	return a.outcome()
}

func (a asker) outcome() string {
	a.Helper()
	reply := a.receive()
	for _, head := range []string{`{"jsonrpc":"2.0","id":1,`, `{"type":"rep","id":1,`} {
		reply = strings.TrimPrefix(reply, head)
	}
	for _, name := range []string{`"result":`, `"payload":`, `"error":`} {
		reply = strings.TrimPrefix(reply, name)
	}
	return strings.TrimSuffix(reply, "}")
}

func (a asker) expectOutcome(method, params, want string) {
	a.Helper()
	if got := a.ask(method, params); got != want {
		a.Errorf("%s %.300s\ngot  %.600s\nwant %.600s", method, params, got, want)
	}
}

const (
	execute = "runtime.execute"
	put     = "runtime.put"
	one     = `{"value":1,"console":[],"time":0}`
)

func wrong(why string) string {
	return `{"code":-32602,"message":` + string(appendJSON(nil, "Invalid params: "+why)) + `}`
}

func notAllowed(what string) string {
	return `{"code":1007,"message":"Forbidden","data":{"what":"` + what + `"}}`
}

const (
	unknown  = `{"code":1009,"message":"Not found"}`
	tooLarge = `{"code":1004,"message":"Limit exceeded","data":{"limit":"bundle"}}`
)

// eachDialect tests both on a server each.
func eachDialect(t *testing.T, test func(r *rig, a asker), change ...func(*Config)) {
	t.Helper()
	t.Run("JSON-RPC", func(t *testing.T) {
		r := start(t, change...)
		test(r, asker{r.dial(), false})
	})
	t.Run("Duplex", func(t *testing.T) {
		r := start(t, change...)
		test(r, asker{r.dialDuplex(), true})
	})
}
