package rpc

import (
	"strconv"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/rpc/message"
)

// An asker calls a method and gives its outcome, which is the same in both dialects: the result, or
// the error as "code message" with its data behind it, if there is any.
type asker struct {
	*client
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
	return outcomeIn(a.receive())
}

func outcomeIn(reply string) string {
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

// request is a request in the dialect; without an id where that is "".
func (a asker) request(id, method, params string) string {
	if id != "" {
		id = `"id":` + id + `,`
	}
	if a.duplex {
		return `{"type":"req",` + id + `"method":"` + method + `","payload":` + params + `}`
	}
	return `{"jsonrpc":"2.0",` + id + `"method":"` + method + `","params":` + params + `}`
}

// execute is a request to run a script with further params.
func (a asker) execute(id, code, more string) string {
	return a.request(id, execute, `{"code":"`+code+`"`+more+`}`)
}

// response is what either side answers a request with: a result, or an error that begins with {"code":.
func (a asker) response(id, outcome string) string {
	name := `"result":`
	if a.duplex {
		name = `"payload":`
	}
	if strings.HasPrefix(outcome, `{"code":`) || strings.HasPrefix(outcome, `{"message":`) {
		name = `"error":`
	}
	if a.duplex {
		return `{"type":"rep","id":` + id + `,` + name + outcome + `}`
	}
	return `{"jsonrpc":"2.0","id":` + id + `,` + name + outcome + `}`
}

// printed is how the client is told of a line, which is given as JSON.
func (a asker) printed(id, execution, level, text string) string {
	if a.duplex {
		return `{"type":"rep","id":` + id + `,"more":true,"payload":{"console":{"level":"` + level + `","text":` + text + `}}}`
	}
	if id != "" {
		id = `"id":` + id + `,`
	}
	return `{"jsonrpc":"2.0","method":"runtime.console","params":{` + id + `"execution":"` + execution + `","level":"` + level + `","text":` + text + `}}`
}

// asked is how the client is asked for what a script calls.
func (a asker) asked(number int, id, execution, name, args string) string {
	if id != "" {
		id = `"id":` + id + `,`
	}
	return a.request(strconv.Itoa(number), "runtime.callback", `{`+id+`"execution":"`+execution+`","name":"`+name+`","args":`+args+`}`)
}

// another is a second connection that speaks the same.
func (a asker) another(r *rig) asker {
	r.Helper()
	if a.duplex {
		return asker{r.dialDuplex(), true}
	}
	return asker{r.dial(), false}
}

const (
	execute = "runtime.execute"
	put     = "runtime.put"
	one     = `{"value":1,"console":[],"time":0}`
)

func wrong(why string) string {
	return `{"code":-32602,"message":` + string(message.AppendJSON(nil, "Invalid params: "+why)) + `}`
}

func notAllowed(what string) string {
	return `{"code":1007,"message":"Forbidden","data":{"what":"` + what + `"}}`
}

const (
	unknown   = `{"code":1009,"message":"Not found"}`
	cancelled = `{"code":1003,"message":"Cancelled"}`
	tooLarge  = `{"code":1004,"message":"Limit exceeded","data":{"limit":"bundle"}}`
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
