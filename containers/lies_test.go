package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// What an agent says that is a word of the link, with each of its fields. The calls of the test are: 1 has a
// host that streams and may be called back, and stream 1, on which four bytes have come, 2 is plain, 3 has opened
// session 1, 4 is in that session.
var saidKinds = []struct {
	name   string
	kind   kind
	fields []saidField
	body   string
}{
	{"result", kindResult, []saidField{
		{"id", "2", "call"}, {"time", "1", "number"}, {"cpu", "1.5", "amount"}, {"console", `["a"]`, "list"},
	}, "1"},
	{"failure", kindFailure, []saidField{
		{"id", "2", "call"}, {"code", "1000", "code"}, {"name", `"E"`, "text"}, {"message", `"m"`, "text"}, {"stack", `"s"`, "text"},
		{"limit", `"wall"`, "text"}, {"console", `["a"]`, "list"}, {"started", "true", "flag"},
	}, ""},
	{"print", kindPrint, []saidField{{"id", "1", "streamed"}, {"level", `"log"`, "level"}}, "x"},
	{"callback", kindCallback, []saidField{{"id", "1", "hosted"}, {"callback", "1", "next"}, {"name", `"f"`, "text"}}, "[]"},
	{"ended", kindEnded, []saidField{{"session", "1", "session"}}, ""},
	{"hello", kindHello, []saidField{{"version", "5", "never"}}, ""},
	{"call", kindCall, []saidField{{"id", "2", "never"}}, "{}"},
	{"cancel", kindCancel, []saidField{{"id", "2", "never"}}, ""},
	{"bundle", kindBundle, []saidField{{"bundle", `"a"`, "never"}}, "{}"},
	{"reply", kindReply, []saidField{{"id", "1", "never"}}, "1"},
	{"close", kindClose, []saidField{{"session", "1", "never"}}, ""},
	{"ping", kindPing, []saidField{{"x", "1", "never"}}, ""},
	{"pong", kindPong, []saidField{{"x", "1", "never"}}, ""}, // nobody asked
	{"open", kindOpen, []saidField{{"id", "1", "call"}, {"stream", "2", "second"}, {"host", `"x"`, "host"}, {"port", "1", "port"}}, ""},
	{"opened", kindOpened, []saidField{{"stream", "1", "never"}, {"address", `"x"`, "never"}}, ""},
	{"data", kindData, []saidField{{"stream", "1", "never"}}, ""}, // has no header: this is a stream of another number
	{"credit", kindCredit, []saidField{{"stream", "1", "first"}, {"bytes", "4", "granted"}}, ""},
	{"finish", kindFinish, []saidField{{"stream", "1", "first"}}, ""},
	{"abort", kindAbort, []saidField{{"stream", "1", "first"}}, ""},
	{"closed", kindClosed, []saidField{{"stream", "1", "never"}, {"code", `"x"`, "never"}}, ""},
	{"kind 0", 0, []saidField{{"id", "2", "never"}}, ""},
	{"kind 6", 6, []saidField{{"id", "2", "never"}}, ""},
	{"kind 24", 24, []saidField{{"stream", "1", "never"}}, ""},
	{"kind 255", 255, []saidField{{"id", "2", "never"}}, ""},
}

type saidField struct{ name, right, sort string }

const huge = "18446744073709551616" // 2^64

// saidValues are values that a field may be given, and the sorts of field for which they are no lie. "" is
// for a field that is left out.
var saidValues = map[string]string{
	"":                                     "number amount list text flag",
	"null":                                 "number amount list text flag",
	"0":                                    "number amount",
	"1":                                    "number amount hosted streamed next session own granted port first",
	"2":                                    "number amount call granted port second",
	"3":                                    "number amount old granted port",
	"4":                                    "number amount in granted port",
	"5":                                    "number amount port",
	"-1":                                   "number",
	"1.5":                                  "amount",
	"1e3":                                  "amount",
	"1e999":                                "",
	"4294967297":                           "number amount",
	huge:                                   "",
	`""`:                                   "text",
	`"x"`:                                  "text host",
	`"1"`:                                  "text host",
	`"log"`:                                "text level host",
	`"\ud800"`:                             "text host",
	"true":                                 "flag",
	"{}":                                   "",
	"[]":                                   "list",
	"[1]":                                  "",
	"[[]]":                                 "",
	`["a"]`:                                "list",
	`[null]`:                               "list",
	"1000":                                 "number amount code port",
	"1001":                                 "number amount code port",
	"1005":                                 "number amount lost port",
	"1006":                                 "number amount port",
	"1007":                                 "number amount port",
	"1009":                                 "number amount port",
	"-32600":                               "number",
	`{"a":`:                                "",
	"\x00":                                 "",
	`"` + strings.Repeat("x", 3<<20) + `"`: "", // longer than a header may be
}

// allowed tells whether a field may have a value, so that the container lives on.
func (f saidField) allowed(value string) bool {
	sorts := strings.Fields(saidValues[value])
	has := func(sort string) bool {
		for _, s := range sorts {
			if s == sort {
				return true
			}
		}
		return false
	}
	switch f.sort {
	case "call": // those that run, each of which may be answered
		return value == "1" || value == "2" || value == "4"
	case "streamed", "hosted": // or of one that has been answered, which is ignored
		return value == "1" || value == "3"
	case "code":
		return has("code") || has("lost")
	default:
		return has(f.sort)
	}
}

// Each field of each frame is given each value. A lie ends the container, with all its calls lost, and nothing
// else does; whatever is said, a call gets an answer that is meant for it, or LostError.
func TestEveryFieldOfEveryFrame(t *testing.T) {
	for _, said := range saidKinds {
		t.Run(said.name, func(t *testing.T) {
			for at, field := range said.fields {
				for value := range saidValues {
					var header []string
					for i, other := range said.fields {
						v := other.right
						if i == at {
							v = value
						}
						if v != "" {
							header = append(header, fmt.Sprintf("%q:%s", other.name, v))
						}
					}
					name := fmt.Sprintf("%s %.30s", field.name, value)
					says := "{" + strings.Join(header, ",") + "}"
					synctest.Test(t, func(t *testing.T) { sayUnderWay(t, name, said.kind, says, said.body, field.allowed(value)) })
				}
			}
		})
	}
}

// sayUnderWay has an agent say one frame while calls run, and then end them as it should.
func sayUnderWay(t *testing.T, name string, k kind, header, body string, lives bool) {
	values := map[uint64]string{1: `"one"`, 2: `"two"`, 3: `"three"`, 4: `"four"`}
	var answered struct{ ID uint64 } // the call that the frame is an answer to
	if k == kindResult || k == kindFailure {
		_ = json.Unmarshal([]byte(header), &answered)
	}
	proceed := make(chan struct{})
	network := newPipes()
	c, process := open(t, streamLimits, func(p *peer) {
		for id := range uint64(4) {
			p.nextCall()
			if id == 2 {
				p.result(3, values[3])
			}
		}
		p.open(1, 1)
		p.expect(kindOpened, `{"stream":1}`)
		p.receive(1, 4)
		<-proceed
		p.send(k, header, body)
		synctest.Wait()
		for _, id := range []uint64{1, 2, 4} {
			if id != answered.ID {
				p.result(id, values[id])
			}
		}
		for _, ok := p.next(); ok; _, ok = p.next() {
		}
	})
	results, errs := make([]call.Result, 5), make([]error, 5)
	var s call.Session
	var calls sync.WaitGroup
	host := &client{answer: never}
	var servers sync.WaitGroup
	servers.Go(func() { network.serve("four") })
	run := func(id int, execute func() (call.Result, error)) {
		calls.Go(func() { results[id], errs[id] = execute() })
		synctest.Wait()
	}
	run(1, func() (call.Result, error) {
		job := callWith(host)
		job.Network = network
		return c.Execute(t.Context(), job)
	})
	run(2, func() (call.Result, error) { return c.Execute(t.Context(), call.Call{Timeout: time.Minute}) })
	run(3, func() (_ call.Result, err error) {
		s, err = c.OpenSessionContext(t.Context(), call.Call{Timeout: time.Minute})
		return call.Result{}, err
	})
	run(4, func() (call.Result, error) { return s.(executor).Execute(t.Context(), call.Call{Timeout: time.Minute}) })
	close(proceed)
	calls.Wait()
	for id := 1; id <= 4; id++ {
		value, err := string(results[id].Value), errs[id]
		var failure *call.Failure
		var lost *call.LostError
		switch {
		case id == 3:
			if err != nil {
				t.Errorf("%s: the session got %v", name, err)
			}
		case errors.As(err, &lost) && errors.Is(err, errProtocol) && !lives:
		case uint64(id) != answered.ID && err == nil && value == values[uint64(id)] && lives:
		case uint64(id) == answered.ID && k == kindResult && err == nil && value == body:
		case uint64(id) == answered.ID && k == kindFailure && (errors.As(err, &failure) || lost != nil && lost.Cause == errWorkerDied):
		default:
			t.Errorf("%s: call %d got %s, %v", name, id, value, err)
		}
	}
	select {
	case <-c.Done():
		if lives {
			t.Errorf("%s ended the container: %v", name, c.link.lost())
		}
		<-process.killed
	default:
		if !lives {
			t.Errorf("%s: the container lives on", name)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	close(network.dialed)
	servers.Wait()
}

// serve says so much on each connection, and takes all that comes, until no more are dialed.
func (n *pipes) serve(words string) {
	var each sync.WaitGroup
	defer each.Wait()
	for d := range n.dialed {
		each.Go(func() {
			_, _ = io.WriteString(d, words)
			_, _ = io.Copy(io.Discard, d)
		})
	}
}
