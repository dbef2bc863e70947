package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A client is a call.Client. Its lines have no lock: nobody reads them before the call is done.
type client struct {
	lines  []string
	answer func(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, error)
}

func (c *client) Print(level, text string) { c.lines = append(c.lines, level+" "+text) }

func (c *client) Callback(ctx context.Context, name string, args json.RawMessage) (json.RawMessage, error) {
	return c.answer(ctx, name, args)
}

// never is a client that does not answer.
func never(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

const clientCall = `{"id":1,"timeout":60000,"cpu":0,"stream":true,"callbacks":["f","g"]}`

func callWith(c call.Client) call.Call {
	return call.Call{Timeout: time.Minute, Stream: true, Callbacks: []string{"f", "g"}, Client: c}
}

func TestLinesArePrintedAsTheyCome(t *testing.T) {
	long := strings.Repeat("x", testLimits.ConsoleBytes)
	closed := "warn " + consoleClosing
	tests := []struct {
		name   string
		prints []string // level and text
		want   []string
	}{
		{"none", nil, nil},
		{"levels", []string{"debug a", "info b", "error c\nd"}, []string{"debug a", "info b", "error c\nd"}},
		{"an empty line", []string{"log ", "warn a"}, []string{"log ", "warn a"}},
		{"no UTF-8", []string{"log a\xffb"}, []string{"log a\uFFFDb"}},
		{"too many lines", []string{"log 1", "log 2", "log 3", "log 4", "log 5"}, []string{"log 1", "log 2", "log 3", closed}},
		{"as many bytes as may be", []string{"log " + long}, []string{"log " + long}},
		{"too many bytes", []string{"log a", "log " + long, "log b"}, []string{"log a", closed}},
		{"the agent closes at its last line", []string{"log 1", "log 2", "log 3", "log " + consoleClosing}, []string{"log 1", "log 2", "log 3", closed}},
		{"the agent closes before", []string{"log 1", "log " + consoleClosing}, []string{"log 1", "log " + consoleClosing}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, _ := open(t, testLimits, func(p *peer) {
				p.expect(kindCall, `{"id":1,"timeout":60000,"cpu":0,"stream":true}`)
				for _, line := range test.prints {
					level, text, _ := strings.Cut(line, " ")
					p.send(kindPrint, fmt.Sprintf(`{"id":1,"level":%q}`, level), text)
				}
				p.result(1, "1")
				p.next()
			})
			printer := &client{}
			c.succeeds(t, call.Call{Timeout: time.Minute, Stream: true, Client: printer})
			if !slices.Equal(printer.lines, test.want) {
				t.Errorf("printed %q\nwant    %q", printer.lines, test.want)
			}
		})
	}
}

func TestCallWithoutWishesIsSentAsSuch(t *testing.T) {
	c, _ := open(t, testLimits, func(p *peer) {
		p.expect(kindCall, `{"id":1,"timeout":60000,"cpu":0}`)
		p.result(1, "1")
		p.expect(kindCall, `{"id":2,"timeout":60000,"cpu":0}`)
		p.result(2, "2")
		p.next()
	})
	for _, job := range []call.Call{
		{Timeout: time.Minute, Client: &client{}},
		{Timeout: time.Minute, Stream: true, Callbacks: []string{"f"}}, // nobody would be there
	} {
		c.succeeds(t, job)
	}
}

func TestCallbackIsAnswered(t *testing.T) {
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	text := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
	fails := func(message string) string { return `,"error":{"message":"` + message + `"}` }
	tests := []struct {
		name       string
		call, args string // of the script
		value      json.RawMessage
		err        error
		asked      string // what the client saw; "" for nothing
		reply      string // what the header adds
		body       string
	}{
		{name: "a value", call: "f", args: `[1, "é"]`, value: []byte("{\n\"a\": \"<b>\"}"), asked: `f [1, "é"]`, body: "{\n\"a\": \"<b>\"}"},
		{name: "another name", call: "g", args: `[]`, value: []byte("0"), asked: "g []", body: "0"},
		{name: "nothing", call: "f", args: `[]`, asked: "f []", body: "null"},
		{name: "the largest value", call: "f", args: `[]`, value: text(maxReply), asked: "f []", body: string(text(maxReply))},
		{name: "too large a value", call: "f", args: `[]`, value: text(maxReply + 1), asked: "f []", reply: fails("the answer to host.f is too large")},
		{name: "an error", call: "f", args: `[]`, err: &call.CallbackError{Message: "no <user>", Code: -32000, Data: []byte(`{ "id": 1 }`)},
			asked: "f []", reply: `,"error":{"message":"no <user>","code":-32000,"data":{"id":1}}`},
		{name: "an error under another", call: "f", args: `[]`, err: fmt.Errorf("client: %w", &call.CallbackError{Message: "no"}),
			asked: "f []", reply: `,"error":{"message":"no","code":0}`},
		{name: "an error and a value", call: "f", args: `[]`, value: []byte("1"), err: &call.CallbackError{Message: "no"},
			asked: "f []", reply: `,"error":{"message":"no","code":0}`},
		{name: "an error of the daemon's own", call: "f", args: `[]`, err: errors.New("secret"), asked: "f []", reply: fails("the callback failed")},
		{name: "a long message", call: "f", args: `[]`, err: &call.CallbackError{Message: strings.Repeat("é", maxText)}, asked: "f []",
			reply: `,"error":{"message":"` + strings.Repeat("é", maxText/2) + `","code":0}`},
		{name: "too large data", call: "f", args: `[]`, err: &call.CallbackError{Message: "no", Data: text(HeaderRoom + 1)}, asked: "f []",
			reply: fails("the answer to host.f is too large")},
		{name: "data that is no JSON", call: "f", args: `[]`, err: &call.CallbackError{Message: "no", Data: []byte("{")}, asked: "f []",
			reply: fails("the answer to host.f is no JSON")},
		{name: "a name that is not allowed", call: "h", args: `[]`, reply: fails("host.h is not allowed: it is not in callbacks")},
		{name: "no name", args: `[]`, reply: fails("host. is not allowed: it is not in callbacks")},
		{name: "a long name", call: strings.Repeat("f", 1000), args: `[]`,
			reply: fails("host." + strings.Repeat("f", maxCallbackName) + " is not allowed: it is not in callbacks")},
		{name: "arguments too deep", call: "f", args: deep, reply: fails("the arguments of host.f are nested too deeply")},
		{name: "arguments that are no list", call: "f", args: `{}`, reply: fails("the arguments of host.f are nested too deeply")},
		{name: "arguments that are no JSON", call: "f", args: `[`, reply: fails("the arguments of host.f are nested too deeply")},
		{name: "arguments that are no UTF-8", call: "f", args: "[\"\xff\"]", reply: fails("the arguments of host.f are nested too deeply")},
		{name: "no arguments", call: "f", reply: fails("the arguments of host.f are nested too deeply")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, _ := open(t, testLimits, func(p *peer) {
				p.expect(kindCall, clientCall)
				p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":1,"name":%q}`, test.call), test.args)
				if body := p.expect(kindReply, `{"id":1,"callback":1`+test.reply+`}`); body != test.body {
					t.Errorf("replied %d bytes, want %d", len(body), len(test.body))
				}
				p.result(1, "1")
				p.next()
			})
			var asked string
			_, err := c.Execute(t.Context(), callWith(&client{answer: func(_ context.Context, name string, args json.RawMessage) (json.RawMessage, error) {
				asked = name + " " + string(args)
				return test.value, test.err
			}}))
			if err != nil || asked != test.asked {
				t.Errorf("asked %q, %v, want %q", asked, err, test.asked)
			}
		})
	}
}

func TestCallbacksAreAnsweredInAnyOrder(t *testing.T) {
	turn := [3]chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	c, _ := open(t, testLimits, func(p *peer) {
		p.expect(kindCall, clientCall)
		for i := range 3 {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), fmt.Sprintf("[%d]", i+1))
		}
		for i := range 3 { // the last one is answered first
			close(turn[2-i])
			if body := p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d}`, 3-i)); body != fmt.Sprintf("[%d]", 3-i) {
				t.Errorf("callback %d got %s", 3-i, body)
			}
		}
		p.result(1, "1")
		p.next()
	})
	if _, err := c.Execute(t.Context(), callWith(&client{answer: func(_ context.Context, _ string, args json.RawMessage) (json.RawMessage, error) {
		<-turn[args[1]-'1']
		return args, nil
	}})); err != nil {
		t.Error(err)
	}
}

// However long a client takes, Execute returns when it has let go, and the agent hears no more of it.
func TestExecuteWaitsForCallbacks(t *testing.T) {
	const lag = time.Minute // of a client, to see that its call has ended
	tests := []struct {
		name   string
		ctx    func(*testing.T) context.Context
		answer func(*peer)
		want   error
	}{
		{name: "a result without them", answer: func(p *peer) {
			p.result(1, "1")
			p.send(kindPrint, `{"id":1,"level":"log"}`, "late") // what comes behind the answer is ignored
			p.send(kindCallback, `{"id":1,"callback":2,"name":"f"}`, "[]")
		}},
		{name: "a client that never answers", answer: func(p *peer) {
			time.Sleep(time.Minute)
			p.failure(1, `"code":1002,"limit":"wall"`)
		}, want: &call.Failure{Code: call.Timeout, Limit: "wall", Console: []string{}}},
		{name: "a cancelled call", ctx: func(t *testing.T) context.Context { return cancelled(t, time.Second) }, answer: func(p *peer) {
			p.expect(kindCancel, `{"id":1}`)
			p.failure(1, `"code":1003`)
		}, want: &call.Failure{Code: call.Cancelled, Console: []string{}}},
		{name: "a cancelled call that the agent is slow to end", ctx: func(t *testing.T) context.Context { return cancelled(t, time.Second) }, answer: func(p *peer) {
			p.expect(kindCancel, `{"id":1}`)
			time.Sleep(cancelGrace / 2)
			p.send(kindPrint, `{"id":1,"level":"log"}`, "late")
			p.send(kindCallback, `{"id":1,"callback":2,"name":"f"}`, "[]")
			p.send(kindCallback, `{"id":1,"callback":3,"name":"not allowed"}`, "[]")
			p.failure(1, `"code":1003`)
		}, want: &call.Failure{Code: call.Cancelled}},
	}
	for _, test := range tests {
		virtually(t, test.name, func(t *testing.T) {
			c, _ := open(t, testLimits, func(p *peer) {
				p.expect(kindCall, clientCall)
				p.send(kindCallback, `{"id":1,"callback":1,"name":"f"}`, "[]")
				time.Sleep(time.Millisecond)
				test.answer(p)
				p.expect(kindCall, `{"id":2,"timeout":60000,"cpu":0}`)
				p.result(2, "2")
				p.next()
			})
			ctx := t.Context()
			if test.ctx != nil {
				ctx = test.ctx(t)
			}
			asked, left := 0, 0
			printer := &client{answer: func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
				asked++
				<-ctx.Done()
				time.Sleep(lag)
				left++
				return []byte("1"), nil
			}}
			if _, err := c.Execute(ctx, callWith(printer)); !reflect.DeepEqual(err, test.want) {
				t.Errorf("got %#v", err)
			}
			if asked != 1 || left != 1 || printer.lines != nil {
				t.Errorf("of %d callbacks %d had ended, with %q printed", asked, left, printer.lines)
			}
			c.gives(t, *minute(), "2")
		})
	}
}

// A reply that is already on its way to the writer when its call ends goes nowhere.
func TestReplyToACallThatHasEndedIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := open(t, testLimits, func(p *peer) {
			p.expect(kindCall, clientCall)
			p.send(kindCallback, `{"id":1,"callback":1,"name":"f"}`, "[]")
			synctest.Wait() // its reply is being written
			p.send(kindCallback, `{"id":1,"callback":2,"name":"f"}`, "[]")
			synctest.Wait() // and this one's waits behind it
			p.result(1, "1")
			synctest.Wait()
			first, _ := p.next()
			second, _ := p.next()
			if first.kind != kindReply || second.kind != kindCall {
				t.Errorf("got kinds %d and %d", first.kind, second.kind)
			}
			p.result(2, "2")
			p.next()
		})
		for _, job := range []call.Call{callWith(&client{answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			return []byte("1"), nil
		}}), {Timeout: time.Minute}} {
			c.succeeds(t, job)
		}
	})
}

func TestContainerDiesUnderCallbacks(t *testing.T) {
	c, process := open(t, testLimits, func(p *peer) {
		p.expect(kindCall, clientCall)
		for i := range 10 {
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), "[]")
		}
		p.send(kindPrint, `{"id":1,"level":"log"}`, "last words")
	})
	printer := &client{answer: never}
	_, err := c.Execute(t.Context(), callWith(printer))
	var lost *call.LostError
	if !errors.As(err, &lost) || !lost.Started || !slices.Equal(printer.lines, []string{"log last words"}) {
		t.Errorf("got %#v, printed %q", err, printer.lines)
	}
	<-process.killed
}

// An agent keeps to the bound by itself; ten thousand callbacks at once are then only a matter of time.
func TestTenThousandCallbacks(t *testing.T) {
	const all = 10_000
	c, _ := open(t, testLimits, func(p *peer) {
		p.expect(kindCall, clientCall)
		room := make(chan struct{}, maxCallbacks)
		var reading sync.WaitGroup
		defer reading.Wait()
		answers := make(map[string]bool)
		reading.Go(func() {
			for range all {
				f, _ := p.next()
				if f.kind != kindReply || string(f.header) != fmt.Sprintf(`{"id":1,"callback":%s}`, strings.Trim(string(f.body), "[]")) {
					t.Errorf("got %s with %s", f.header, f.body)
				}
				answers[string(f.header)] = true
				<-room
			}
			if len(answers) != all {
				t.Errorf("%d callbacks were answered", len(answers))
			}
			p.result(1, "1")
			p.next()
		})
		for i := range all {
			room <- struct{}{}
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), fmt.Sprintf("[%d]", i+1))
		}
	})
	if _, err := c.Execute(t.Context(), callWith(&client{answer: func(_ context.Context, _ string, args json.RawMessage) (json.RawMessage, error) {
		return args, nil
	}})); err != nil {
		t.Error(err)
	}
}

func TestCallbacksBeyondTheBoundAreRefused(t *testing.T) {
	limits := testLimits
	limits.Result = 1 << 20
	tests := []struct {
		name    string
		args    string
		allowed int
	}{
		{"too many", "[]", maxCallbacks},
		{"too many bytes", `["` + strings.Repeat("x", limits.Result/4) + `"]`, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			release := make(chan struct{})
			c, _ := open(t, limits, func(p *peer) {
				p.expect(kindCall, clientCall)
				const more = 5
				for i := range test.allowed + more {
					p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), test.args)
					if i >= test.allowed {
						p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d,"error":{"message":"host.f is not allowed: too many callbacks wait for an answer"}}`, i+1))
					}
				}
				close(release)
				for range test.allowed {
					if f, _ := p.next(); f.kind != kindReply || string(f.body) != "1" {
						t.Errorf("got kind %d, header %s", f.kind, f.header)
					}
				}
				p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, test.allowed+more+1), test.args)
				p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d}`, test.allowed+more+1)) // there is room again
				p.result(1, "1")
				p.next()
			})
			if _, err := c.Execute(t.Context(), callWith(&client{answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				<-release
				return []byte("1"), nil
			}})); err != nil {
				t.Error(err)
			}
		})
	}
}

// The replies to an agent that does not read do not fill the memory.
func TestRepliesThatWaitAreBounded(t *testing.T) {
	large := []byte(`"` + strings.Repeat("x", maxReply-2) + `"`)
	const fit = 1 + maxReplies/maxReply // one is being written, the others wait
	synctest.Test(t, func(t *testing.T) {
		c, _ := open(t, testLimits, func(p *peer) {
			p.expect(kindCall, clientCall)
			for i := range fit + 1 {
				p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, i+1), "[]")
				synctest.Wait()
			}
			for i := range fit {
				if body := p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d}`, i+1)); len(body) != maxReply {
					t.Errorf("got %d bytes", len(body))
				}
			}
			p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d,"error":{"message":"the answer to host.f has no room: too many wait to be sent"}}`, fit+1))
			p.send(kindCallback, fmt.Sprintf(`{"id":1,"callback":%d,"name":"f"}`, fit+2), "[]")
			p.expect(kindReply, fmt.Sprintf(`{"id":1,"callback":%d}`, fit+2)) // there is room again
			p.result(1, "1")
			p.next()
		})
		if _, err := c.Execute(t.Context(), callWith(&client{answer: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			return large, nil
		}})); err != nil {
			t.Error(err)
		}
	})
}
