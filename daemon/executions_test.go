package daemon_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func TestExecutionsStreamed(t *testing.T) {
	everywhere(t, func(t *testing.T, c *client) {
		got := c.Execute(script{"stream": true, "secrets": script{"key": "hush-hush"}, "code": `
			console.log("one", {a: 1}); console.info("two"); console.warn("three"); console.error("four"); console.debug(secrets.key); 3`})
		want := []string{"log one { a: 1 }", "info two", "warn three", "error four", "debug ***"}
		if got.String() != "3" || !slices.Equal(got.Streamed, want) || got.Console() != `["one { a: 1 }","two","three","four","***"]` {
			t.Errorf("got %v %v, console %s", got, got.Streamed, got.Console())
		}
		got = c.Execute(script{"stream": true, "code": "for (let i = 0; i < 1500; i++) console.log(i)", "timeout": 10000})
		if n := len(got.Streamed); n != 1001 || got.Streamed[999] != "log 999" {
			t.Errorf("of 1,500 lines: %d told", n)
		}
		got = c.Execute(script{"stream": true, "code": "console.log('before'); for (;;);", "timeout": 300})
		if got.String() != waits || !slices.Equal(got.Streamed, []string{"log before"}) {
			t.Errorf("before a timeout: %v %v", got, got.Streamed)
		}
		if got = c.Execute(script{"code": "console.log(1)"}); got.Streamed != nil {
			t.Errorf("told without stream: %v", got.Streamed)
		}
		s := c.Open("let x = 2", "tenant", c.Own("stream"))
		if got = c.In(s, "console.log(x)", "stream", true); !slices.Equal(got.Streamed, []string{"log 2"}) {
			t.Errorf("in a session: %v", got.Streamed)
		}
		c.Answers(func(b callback) { b.Resolve("in") }) // what comes before a callback is told before it
		got = c.Execute(script{"stream": true, "callbacks": list("f"), "code": "console.log(1); host.f().then(v => console.log(v))"})
		if !slices.Equal(got.Streamed, []string{"log 1", "log in"}) {
			t.Errorf("around a callback: %v", got.Streamed)
		}
	})
}

const charge = "host.begun().then(() => new Promise(done => setTimeout(done, 300, 'charged')))"

func TestExecutionsRunOnce(t *testing.T) {
	everywhereWith(t, nil, func(t *testing.T, dial func(*testing.T) *client) {
		c, other := dial(t), dial(t)
		var ran atomic.Int32
		begun := make(chan callback, 10)
		c.Answers(func(b callback) { ran.Add(1); begun <- b })
		once := script{"code": "console.log('on'); " + charge, "callbacks": list("begun"), "stream": true, "execution": c.Own("once")}
		_, first := c.Start("runtime.execute", once)
		b := c.Begins(first, begun)
		_, same := c.Start("runtime.execute", once)
		_, elsewhere := other.Start("runtime.execute", once)
		_, attached := other.Start("runtime.attach", script{"execution": c.Own("once")})
		_, differs := other.Start("runtime.execute", script{"code": "'another'", "execution": c.Own("once")})
		if got := other.Call("runtime.attach", script{"execution": c.Own("once"), "tenant": "foreign"}).String(); got != noSuch {
			t.Errorf("another tenant got %s", got)
		}
		b.Resolve(1)
		want := c.Wait(first)
		if want.String() != `"charged"` || b.Execution != c.Own("once") || len(want.Streamed) != 1 {
			t.Errorf("got %v %v as %s", want, want.Streamed, b.Execution)
		}
		late := c.Execute(once)
		for who, got := range map[string]reply{"same": c.Wait(same), "elsewhere": other.Wait(elsewhere), "attached": other.Wait(attached),
			"differs": other.Wait(differs), "late": late, "late attach": other.Call("runtime.attach", script{"execution": c.Own("once")})} {
			if string(got.Result) != string(want.Result) || got.Streamed != nil {
				t.Errorf("%s: %v %s %v", who, got, got.Result, got.Streamed)
			}
		}
		if ran.Load() != 1 {
			t.Errorf("it ran %d times", ran.Load())
		}
		if got := c.Execute(script{"code": "1", "execution": c.Own("once"), "tenant": "foreign-" + c.Own("")}).String(); got != "1" {
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
				name := gone.Own("lost") + fmt.Sprint(len(test.name))
				begun := make(chan callback, 1)
				gone.Answers(func(b callback) { begun <- b })
				params := with(script{"code": charge, "callbacks": list("begun"), "execution": name}, "stream", true)
				for key, value := range test.params {
					params[key] = value
				}
				if params["session"] != nil {
					params["session"] = gone.Open("let x = 2")
				}
				_, lost := gone.Start("runtime.execute", params)
				gone.Begins(lost, begun).Resolve(1)
				gone.Call("runtime.info", nil) // the answer has come there
				gone.Conn.CloseNow()
				if got := back.Call("runtime.attach", script{"execution": name}).String(); got != test.want {
					t.Errorf("attach got %s, want %s", got, test.want)
				}
				delete(params, "session")
				if got := back.Execute(params).String(); got != test.want {
					t.Errorf("a repeat got %s, want %s", got, test.want)
				}
			})
		}
		c := dial(t)
		if got := c.Call("runtime.attach", script{"execution": "never-was"}).String(); got != noSuch {
			t.Errorf("unknown: %s", got)
		}
	})
}

func TestExecutionsAreForgotten(t *testing.T) {
	d := start(t, "process", "--keep-time", "300ms")
	c := d.Dial(t, "json-rpc")
	c.Execute(script{"code": "1", "execution": "a"})
	deadline := time.Now().Add(10 * time.Second)
	for c.Call("runtime.attach", script{"execution": "a"}).String() != noSuch {
		if time.Now().After(deadline) {
			t.Fatal("it is kept")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := c.Execute(script{"code": "2", "execution": "a"}).String(); got != "2" {
		t.Errorf("the name again: %s", got)
	}
}

func TestExecutionsCancelledInEachState(t *testing.T) {
	one := []string{"--concurrency", "1", "--max-containers", "1", "--min-containers", "1", "--spare", "0"}
	everywhereWith(t, one, func(t *testing.T, dial func(*testing.T) *client) {
		c, other := dial(t), dial(t)
		begun := make(chan callback, 10)
		c.Answers(func(b callback) { begun <- b })
		cancel := func(by *client, params script) string { return string(by.Call("runtime.cancel", params).Result) }
		for _, after := range []string{"", ".then(() => { for (;;); })"} { // waits for the client, runs
			for _, byID := range []bool{true, false} {
				name := c.Own(fmt.Sprintf("held-%d-%v", len(after), byID))
				held := script{"code": "host.begun()" + after, "callbacks": list("begun"), "execution": name, "timeout": 30000}
				id, running := c.Start("runtime.execute", held)
				b := c.Begins(running, begun)
				queuedID, queued := c.Start("runtime.execute", script{"code": "1", "execution": name + "-queued"})
				c.Call("runtime.info", nil) // answered behind it, so that others know of it
				if after != "" {
					b.Resolve(1)
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
						if got := c.Wait(queued).String(); got != "1003 Cancelled" {
							t.Errorf("queued: %s", got)
						}
					}
					if i == 1 {
						if got := c.Wait(running).String(); got != "1003 Cancelled" {
							t.Errorf("%s: %s", name, got)
						}
					}
				}
				if got := c.Execute(held).String(); got != "1003 Cancelled" {
					t.Errorf("a repeat: %s", got)
				}
			}
		}
		if got := cancel(other, script{"execution": c.Own("held-0-true"), "tenant": "foreign"}); got != `{"cancelled":false}` {
			t.Errorf("another tenant's: %s", got)
		}
		if got := c.Execute(script{"code": "3"}).String(); got != "3" {
			t.Errorf("the next call got %s", got)
		}
		t.Run("stop", func(t *testing.T) {
			id, stopped := c.Start("runtime.execute", script{"code": "host.begun()", "callbacks": list("begun"), "timeout": 30000})
			if b := c.Begins(stopped, begun); b.ID != id {
				t.Errorf("the callback is of %d, want %d", b.ID, id)
			}
			_, queued := c.Start("runtime.execute", script{"code": "4"})
			if got := other.Call("runtime.stop", script{"tenant": "foreign"}); string(got.Result) != "{}" {
				t.Errorf("stop of another tenant: %v", got)
			}
			if got := other.Call("runtime.stop", script{}); string(got.Result) != "{}" {
				t.Errorf("stop: %v", got)
			}
			if got := c.Wait(stopped); got.String() != "1005 Sandbox lost" || string(got.Error.Data) != `{"started":true}` {
				t.Errorf("running: %v", got)
			}
			if got := c.Wait(queued).String(); got != "4" {
				t.Errorf("queued: %s", got)
			}
		})
	})
}
