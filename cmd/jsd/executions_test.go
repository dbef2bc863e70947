package main

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestExecutionsStreamed(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		got := c.execute(script{"stream": true, "secrets": script{"key": "hush-hush"}, "code": `
			console.log("one", {a: 1}); console.info("two"); console.warn("three"); console.error("four"); console.debug(secrets.key); 3`})
		want := []string{"log one { a: 1 }", "info two", "warn three", "error four", "debug ***"}
		if got.String() != "3" || !slices.Equal(got.streamed, want) || got.console() != `["one { a: 1 }","two","three","four","***"]` {
			t.Errorf("got %v %v, console %s", got, got.streamed, got.console())
		}
		got = c.execute(script{"stream": true, "code": "for (let i = 0; i < 1500; i++) console.log(i)", "timeout": 10000})
		if n := len(got.streamed); n != 1001 || got.streamed[999] != "log 999" {
			t.Errorf("of 1,500 lines: %d told", n)
		}
		got = c.execute(script{"stream": true, "code": "console.log('before'); for (;;);", "timeout": 300})
		if got.String() != waits || !slices.Equal(got.streamed, []string{"log before"}) {
			t.Errorf("before a timeout: %v %v", got, got.streamed)
		}
		if got = c.execute(script{"code": "console.log(1)"}); got.streamed != nil {
			t.Errorf("told without stream: %v", got.streamed)
		}
		s := c.open("let x = 2", "tenant", c.own("stream"))
		if got = c.in(s, "console.log(x)", "stream", true); !slices.Equal(got.streamed, []string{"log 2"}) {
			t.Errorf("in a session: %v", got.streamed)
		}
		c.answers(func(b callback) { b.resolve("in") }) // what comes before a callback is told before it
		got = c.execute(script{"stream": true, "callbacks": list("f"), "code": "console.log(1); host.f().then(v => console.log(v))"})
		if !slices.Equal(got.streamed, []string{"log 1", "log in"}) {
			t.Errorf("around a callback: %v", got.streamed)
		}
	})
}

const charge = "host.begun().then(() => new Promise(done => setTimeout(done, 300, 'charged')))"

func TestExecutionsRunOnce(t *testing.T) {
	everywhereWith(t, nil, func(t *testing.T, dial func(*testing.T) *client) {
		c, other := dial(t), dial(t)
		var ran atomic.Int32
		begun := make(chan callback, 10)
		c.answers(func(b callback) { ran.Add(1); begun <- b })
		once := script{"code": "console.log('on'); " + charge, "callbacks": list("begun"), "stream": true, "execution": c.own("once")}
		_, first := c.start("runtime.execute", once)
		b := c.begins(first, begun)
		_, same := c.start("runtime.execute", once)
		_, elsewhere := other.start("runtime.execute", once)
		_, attached := other.start("runtime.attach", script{"execution": c.own("once")})
		_, differs := other.start("runtime.execute", script{"code": "'another'", "execution": c.own("once")})
		if got := other.call("runtime.attach", script{"execution": c.own("once"), "tenant": "foreign"}).String(); got != noSuch {
			t.Errorf("another tenant got %s", got)
		}
		b.resolve(1)
		want := c.wait(first)
		if want.String() != `"charged"` || b.Execution != c.own("once") || len(want.streamed) != 1 {
			t.Errorf("got %v %v as %s", want, want.streamed, b.Execution)
		}
		late := c.execute(once)
		for who, got := range map[string]reply{"same": c.wait(same), "elsewhere": other.wait(elsewhere), "attached": other.wait(attached),
			"differs": other.wait(differs), "late": late, "late attach": other.call("runtime.attach", script{"execution": c.own("once")})} {
			if string(got.Result) != string(want.Result) || got.streamed != nil {
				t.Errorf("%s: %v %s %v", who, got, got.Result, got.streamed)
			}
		}
		if ran.Load() != 1 {
			t.Errorf("it ran %d times", ran.Load())
		}
		if got := c.execute(script{"code": "1", "execution": c.own("once"), "tenant": "foreign-" + c.own("")}).String(); got != "1" {
			t.Errorf("another tenant's of the same name got %s", got)
		}
	})
}

func TestExecutionsBehindALostConnection(t *testing.T) {
	everywhereWith(t, nil, func(t *testing.T, dial func(*testing.T) *client) {
		for _, test := range []struct {
			name   string
			params script
			want   string
		}{
			{"detached", script{"detach": true}, `"charged"`},
			{"named", script{}, "1003 Cancelled"},
			{"asks the client that is gone", script{"detach": true, "code": charge + ".then(() => host.begun()).catch(e => e.message)"}, `"the client is gone"`},
			{"detached in a session", script{"detach": true, "session": "s"}, `"charged"`},
		} {
			t.Run(test.name, func(t *testing.T) {
				gone, back := dial(t), dial(t)
				name := gone.own("lost") + fmt.Sprint(len(test.name))
				begun := make(chan callback, 1)
				gone.answers(func(b callback) { begun <- b })
				params := with(script{"code": charge, "callbacks": list("begun"), "execution": name}, "stream", true)
				for key, value := range test.params {
					params[key] = value
				}
				if params["session"] != nil {
					params["session"] = gone.open("let x = 2")
				}
				_, lost := gone.start("runtime.execute", params)
				gone.begins(lost, begun).resolve(1)
				gone.call("runtime.info", nil) // the answer has come there
				gone.conn.CloseNow()
				if got := back.call("runtime.attach", script{"execution": name}).String(); got != test.want {
					t.Errorf("attach got %s, want %s", got, test.want)
				}
				delete(params, "session")
				if got := back.execute(params).String(); got != test.want {
					t.Errorf("a repeat got %s, want %s", got, test.want)
				}
			})
		}
		c := dial(t)
		if got := c.call("runtime.attach", script{"execution": "never-was"}).String(); got != noSuch {
			t.Errorf("unknown: %s", got)
		}
	})
}

func TestExecutionsAreForgotten(t *testing.T) {
	d := start(t, "process", "--keep-time", "300ms")
	c := dial(t, d.listener.Addr().String(), "json-rpc", nil)
	c.execute(script{"code": "1", "execution": "a"})
	deadline := time.Now().Add(10 * time.Second)
	for c.call("runtime.attach", script{"execution": "a"}).String() != noSuch {
		if time.Now().After(deadline) {
			t.Fatal("it is kept")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := c.execute(script{"code": "2", "execution": "a"}).String(); got != "2" {
		t.Errorf("the name again: %s", got)
	}
}

func TestExecutionsCancelledInEachState(t *testing.T) {
	one := []string{"--concurrency", "1", "--max-containers", "1", "--min-containers", "1", "--spare", "0"}
	everywhereWith(t, one, func(t *testing.T, dial func(*testing.T) *client) {
		c, other := dial(t), dial(t)
		begun := make(chan callback, 10)
		c.answers(func(b callback) { begun <- b })
		cancel := func(by *client, params script) string { return string(by.call("runtime.cancel", params).Result) }
		for _, after := range []string{"", ".then(() => { for (;;); })"} { // waits for the client, runs
			for _, byID := range []bool{true, false} {
				name := c.own(fmt.Sprintf("held-%d-%v", len(after), byID))
				held := script{"code": "host.begun()" + after, "callbacks": list("begun"), "execution": name, "timeout": 30000}
				id, running := c.start("runtime.execute", held)
				b := c.begins(running, begun)
				queuedID, queued := c.start("runtime.execute", script{"code": "1", "execution": name + "-queued"})
				c.call("runtime.info", nil) // answered behind it, so that others know of it
				if after != "" {
					b.resolve(1)
				}
				by, first, second := c, script{"id": queuedID}, script{"id": id}
				if !byID {
					by, first, second = other, script{"execution": name + "-queued"}, script{"execution": name}
				}
				for i, params := range []script{first, second, first, second} {
					if got, want := cancel(by, params), fmt.Sprintf(`{"cancelled":%v}`, i < 2); got != want {
						t.Errorf("cancel %v: %s, want %s", params, got, want)
					}
					if i == 0 {
						if got := c.wait(queued).String(); got != "1003 Cancelled" {
							t.Errorf("queued: %s", got)
						}
					}
					if i == 1 {
						if got := c.wait(running).String(); got != "1003 Cancelled" {
							t.Errorf("%s: %s", name, got)
						}
					}
				}
				if got := c.execute(held).String(); got != "1003 Cancelled" {
					t.Errorf("a repeat: %s", got)
				}
			}
		}
		if got := cancel(other, script{"execution": c.own("held-0-true"), "tenant": "foreign"}); got != `{"cancelled":false}` {
			t.Errorf("another tenant's: %s", got)
		}
		if got := c.execute(script{"code": "3"}).String(); got != "3" {
			t.Errorf("the next call got %s", got)
		}
		t.Run("stop", func(t *testing.T) {
			id, stopped := c.start("runtime.execute", script{"code": "host.begun()", "callbacks": list("begun"), "timeout": 30000})
			if b := c.begins(stopped, begun); b.ID != id {
				t.Errorf("the callback is of %d, want %d", b.ID, id)
			}
			_, queued := c.start("runtime.execute", script{"code": "4"})
			if got := other.call("runtime.stop", script{"tenant": "foreign"}); string(got.Result) != "{}" {
				t.Errorf("stop of another tenant: %v", got)
			}
			if got := other.call("runtime.stop", script{}); string(got.Result) != "{}" {
				t.Errorf("stop: %v", got)
			}
			if got := c.wait(stopped); got.String() != "1005 Sandbox lost" || string(got.Error.Data) != `{"started":true}` {
				t.Errorf("running: %v", got)
			}
			if got := c.wait(queued).String(); got != "4" {
				t.Errorf("queued: %s", got)
			}
		})
	})
}
