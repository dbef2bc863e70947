package daemon_test

import (
	"fmt"
	"slices"
	"testing"
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

func TestStop(t *testing.T) {
	one := []string{"--concurrency", "1", "--max-containers", "1"}
	everywhereWith(t, one, func(t *testing.T, dial func(*testing.T) *client) {
		c, other := dial(t), dial(t)
		begun := make(chan callback, 10)
		c.Answers(func(b callback) { begun <- b })
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
}
