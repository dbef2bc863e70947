package rpc

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// An step is a block of protocol.md: what a client sends (→) and gets (←) on one connection, and
// where it gets another.
type step struct {
	section string
	lines   []string
}

// exchanges are all there are. A connection that is not shown to become Duplex is one already where
// its frames are Duplex.
func exchanges(page string) (all []step) {
	var now step
	end := func() {
		if now.lines != nil {
			all = append(all, now)
		}
		now.lines = nil
	}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			now.section = heading
		}
		if text, ok := strings.CutPrefix(line, "    "); ok && (strings.HasPrefix(text, "→ ") || strings.HasPrefix(text, "← ") || strings.HasPrefix(text, "(")) {
			now.lines = append(now.lines, text)
		} else {
			end()
		}
	}
	end()
	return all
}

// A replay plays exchanges to a server. In what it gets, … stands for anything. A string that ends in
// it is a name: what it stood for is sent where the client sends it.
type replay struct {
	*rig
	peer  *client
	names map[string]string
}

func (r *replay) play(e step) {
	r.Helper()
	var due []string // what is to come, in any order
	for _, line := range append(e.lines, "") {
		if frame, ok := strings.CutPrefix(line, "← "); ok {
			due = append(due, frame)
			continue
		}
		r.getAll(due)
		due = nil
		switch frame, ok := strings.CutPrefix(line, "→ "); {
		case ok:
			r.connect(strings.HasPrefix(frame, `{"type"`))
			for name, value := range r.names {
				frame = strings.ReplaceAll(frame, name, value)
			}
			r.peer.send(frame)
		case r.peer != nil:
			_ = r.peer.conn.Close(websocket.StatusNormalClosure, "")
			r.peer = nil
		}
	}
}

func (r *replay) connect(duplex bool) {
	switch {
	case r.peer != nil:
	case duplex:
		r.peer = r.dialDuplex()
	default:
		r.peer = r.dial()
	}
}

func (r *replay) getAll(due []string) {
	r.Helper()
	for range due {
		got := r.peer.receive()
		i := slices.IndexFunc(due, func(want string) bool { return r.matches(got, want) })
		if i < 0 {
			r.Fatalf("got  %s\nwant %s", got, strings.Join(due, "\n  or "))
		}
		due = slices.Delete(slices.Clone(due), i, i+1)
	}
}

var (
	took     = regexp.MustCompile(`"time":\d+`)
	anything = regexp.MustCompile(`\w*…`)
)

func (r *replay) matches(got, want string) bool {
	got, want = took.ReplaceAllString(got, `"time":0`), took.ReplaceAllString(want, `"time":0`)
	var pattern strings.Builder
	var names []string
	for {
		at := anything.FindStringIndex(want)
		if at == nil {
			break
		}
		name := want[at[0]:at[1]]
		if at[0] > 0 && want[at[0]-1] == '"' && name != "…" {
			pattern.WriteString(regexp.QuoteMeta(want[:at[0]]) + `([^"]*)`)
			names = append(names, name)
		} else {
			pattern.WriteString(regexp.QuoteMeta(want[:at[1]-len("…")]) + `.*`)
		}
		want = want[at[1]:]
	}
	found := regexp.MustCompile("^" + pattern.String() + regexp.QuoteMeta(want) + "$").FindStringSubmatch(got)
	for i, name := range names {
		if found != nil {
			r.names[name] = found[i+1]
		}
	}
	return found != nil
}

func TestProtocolExchanges(t *testing.T) {
	played := map[string]int{}
	for _, e := range exchanges(protocol(t)) {
		played[e.section]++
		t.Run(e.section, func(t *testing.T) {
			r := start(t)
			addProtocolScripts(r.runner)
			(&replay{rig: r, names: map[string]string{}}).play(e)
		})
	}
	for _, m := range allMethods() {
		if played[m.name] < 2 {
			t.Errorf("no step of %s in both dialects", m.name)
		}
	}
	for _, name := range []string{message.ConsoleMethod, message.CallbackMethod} {
		if played[name] < 2 {
			t.Errorf("no step of %s in both dialects", name)
		}
	}
}

func TestReplayCanFail(t *testing.T) {
	r := &replay{names: map[string]string{}}
	for _, test := range []struct {
		got, want string
		matches   bool
	}{
		{`{"a":1,"time":7}`, `{"a":1,"time":0}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1,"b":2}`, `{"a":1}`, false},
		{`{"a":[1,2],"b":3}`, `{"a":[…],"b":3}`, true},
		{`{"a":[1,2],"b":4}`, `{"a":[…],"b":3}`, false},
		{`{"a":"xyz"}`, `{"a":"N…"}`, true},
	} {
		if r.matches(test.got, test.want) != test.matches {
			t.Errorf("%s and %s: want %v", test.got, test.want, test.matches)
		}
	}
	if r.names["N…"] != "xyz" {
		t.Errorf("got %v", r.names)
	}
}

// addProtocolScripts adds what the scripts of protocol.md do, by their source.
func addProtocolScripts(r *runner) {
	gives := func(v string) does {
		return func(ctx, string, call.Call) (result, error) { return result{Value: json.RawMessage(v)}, nil }
	}
	asks := func(then func(v json.RawMessage, err error) string) does {
		return func(ctx ctx, _ string, c call.Call) (result, error) {
			v, err := c.Client.Callback(ctx, "fetchUser", json.RawMessage(`[7]`))
			return result{Value: json.RawMessage(then(v, err))}, nil
		}
	}
	for code, do := range map[string]does{
		"function f(cb) { cb(a + 1) }":        gives(`2`),
		"function add(a, b) { return a + b }": gives(`3`),
		"6 * 7":                               gives(`42`),
		"add":                                 gives(`3`),
		"let x = 2":                           gives(`null`),
		"x * 21":                              gives(`42`),
		"1":                                   fails(&call.Failure{Code: call.NotImplemented}),
		"throw new TypeError('x')": fails(&call.Failure{Code: call.Exception, Name: "TypeError", Message: "x",
			Stack: "TypeError: x\n    at script.js:1:7"}),
		"while (true) {}": r.held(nil, ""),
		"new Promise(done => setTimeout(done, 200, 'charged'))": gives(`"charged"`),
		"console.log('one'); console.warn('two'); 3": func(_ ctx, _ string, c call.Call) (result, error) {
			c.Client.Print("log", "one")
			c.Client.Print("warn", "two")
			return result{Value: json.RawMessage(`3`), Console: []string{"one", "two"}}, nil
		},
		"host.fetchUser(7).then(user => user.name)": asks(func(v json.RawMessage, _ error) string {
			var user struct{ Name json.RawMessage }
			_ = json.Unmarshal(v, &user)
			return string(user.Name)
		}),
		"host.fetchUser(7).catch(e => [e.message, e.code, e.data])": asks(func(_ json.RawMessage, err error) string {
			e := err.(*call.CallbackError)
			return string(message.AppendJSON(nil, []any{e.Message, e.Code, e.Data}))
		}),
	} {
		r.scripts[code] = do
	}
}
