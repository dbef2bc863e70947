package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jsd-project/jsd/jsdtest"
)

// What a daemon answers, by itself or by whatever else listens there, and what the shell gets of it.
func TestExecStatus(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		want         outcome
	}{
		{"value", `{"result":{"value":{"a":1},"console":["x","y"],"time":1}}`, outcome{0, "{\"a\":1}\n", "x\ny\n"}},
		{"no value", `{"result":{"console":[],"time":1}}`, outcome{0, "null\n", ""}},
		{"thrown", `{"error":{"code":1000,"message":"E","data":{"message":"m","stack":"E: m\n    at f (script.js:1:1)","console":["x"]}}}`, outcome{1, "", "x\nE: m\n    at f (script.js:1:1)\n"}},
		{"thrown with another stack", `{"error":{"code":1000,"message":"E","data":{"message":"m","stack":"    at f (script.js:1:1)"}}}`, outcome{1, "", "E: m\n    at f (script.js:1:1)\n"}},
		{"not implemented", `{"error":{"code":1001,"message":"Not implemented"}}`, outcome{1, "", "Not implemented: the script has no function that --call names\n"}},
		{"timeout", `{"error":{"code":1002,"message":"Timeout","data":{"limit":"cpu","console":["x"]}}}`, outcome{3, "", "x\njsd: Timeout (cpu)\n"}},
		{"cancelled", `{"error":{"code":1003,"message":"Cancelled"}}`, outcome{3, "", "jsd: Cancelled\n"}},
		{"limit", `{"error":{"code":1004,"message":"Limit exceeded","data":{"limit":"memory"}}}`, outcome{3, "", "jsd: Limit exceeded (memory)\n"}},
		{"lost", `{"error":{"code":1005,"message":"Sandbox lost","data":{"started":true}}}`, outcome{4, "", "jsd: Sandbox lost\n"}},
		{"lost before", `{"error":{"code":1005,"message":"Sandbox lost","data":{"started":false}}}`, outcome{4, "", "jsd: Sandbox lost (the script was not started)\n"}},
		{"busy", `{"error":{"code":1006,"message":"Busy","data":{"retryAfter":100}}}`, outcome{4, "", "jsd: Busy (try again in 100 ms)\n"}},
		{"forbidden", `{"error":{"code":1007,"message":"Forbidden","data":{"what":"tenant"}}}`, outcome{4, "", "jsd: Forbidden (tenant)\n"}},
		{"not serializable", `{"error":{"code":1008,"message":"Not serializable","data":{"stack":"    at x"}}}`, outcome{1, "", "Not serializable\n    at x\n"}},
		{"not found", `{"error":{"code":1009,"message":"Not found"}}`, outcome{4, "", "jsd: Not found\n"}},
		{"params", `{"error":{"code":-32602,"message":"Invalid params: x"}}`, outcome{2, "", "jsd: Invalid params: x\n"}},
		{"request", `{"error":{"code":-32600,"message":"Invalid Request: y"}}`, outcome{4, "", "jsd: Invalid Request: y\n"}},
		{"unknown code", `{"error":{"code":7,"message":"?","data":"odd"}}`, outcome{4, "", "jsd: ?\n"}},
		{"odd result", `{"result":[1]}`, outcome{4, "", "jsd: read the result: "}},
		{"neither", `{}`, outcome{4, "", "jsd: what answers at "}},
		{"no JSON", `<html>`, outcome{4, "", "jsd: what answers at "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Write([]byte(c.answer))
			}))
			defer server.Close()
			got := command(t, "1", "exec", "-", "--daemon", server.URL)
			if got.status != c.want.status || got.out != c.want.out || !strings.HasPrefix(got.err, c.want.err) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestExecSendsWhatWasAsked(t *testing.T) {
	var body, secret string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Params json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		body, secret = string(request.Params), r.Header.Get("x-runtime-secret")
		w.Write([]byte(`{"result":{"value":1}}`))
	}))
	defer server.Close()
	t.Setenv("SECRET", "s")
	t.Setenv("JSD_DAEMON", server.URL)
	t.Chdir(folder(t, "a.mjs", "<&>", "b.ts", "1"))
	for _, c := range []struct {
		want      string
		arguments []string
	}{
		{`{"code":"x"}`, []string{"-"}},
		{`{"code":"x","globals":{"__proto__":1},"call":"","caller":"","args":["\ud800",1e400]}`,
			[]string{"-", "--call=", "--caller=", `--args= ["\ud800", 1e400] `, `--globals={"__proto__": 1}`}},
		{`{"code":"x","timeout":1500,"tenant":"acme"}`, []string{"-", "--timeout=1.5s", "--tenant=acme"}},
		{`{"files":{"a.mjs":"<&>"},"file":"a.mjs"}`, []string{"./a.mjs"}},
		{`{"code":"1","language":"typescript"}`, []string{"b.ts"}},
		{`{"code":"1","language":"javascript"}`, []string{"b.ts", "--language=javascript"}},
		{`{"files":{"a.mjs":"<&>","b.ts":"1"},"file":"b.ts"}`, []string{"b.ts", "--folder=."}},
	} {
		if got := command(t, "x", append([]string{"exec"}, c.arguments...)...); got.status != 0 || body != c.want || secret != "s" {
			t.Errorf("%v: got %+v, sent %s with secret %q, want %s", c.arguments, got, body, secret, c.want)
		}
	}
}

// The secret is for the daemon that was named, not for where that sends people.
func TestExecFollowsNoRedirect(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect))
	defer server.Close()
	got := command(t, "1", "exec", "-", "--daemon", server.URL, "--secret", "s")
	if got.status != statusJSD || !strings.Contains(got.err, "307") {
		t.Errorf("got %+v", got)
	}
}

func TestExecWithNowhereToWrite(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	answered := answer{Result: []byte(`{"value":1}`)}
	if got := status(answered.print(streams{nil, full, &bytes.Buffer{}}, false), &bytes.Buffer{}); got != statusJSD {
		t.Errorf("status %d", got)
	}
}

// run starts jsd as a process of its own.
func run(t *testing.T, arguments ...string) *jsdtest.Process {
	t.Helper()
	return jsdtest.Launch(t, jsdtest.Command(t, arguments...))
}

func TestUsageEndsWithTwo(t *testing.T) {
	for _, arguments := range [][]string{{"exec"}, {"exec", "a", "b"}, {"exec", "-", "--no-such-flag"}, {"no-such-command"}} {
		jsd := run(t, arguments...)
		<-jsd.Ended
		if jsd.Status() != statusUsage || jsd.Printed()+jsd.Log() == "" {
			t.Errorf("%v: status %d", arguments, jsd.Status())
		}
	}
}

func TestHelpNamesEachStatus(t *testing.T) {
	jsd := run(t, "exec", "--help")
	if <-jsd.Ended; jsd.Status() != 0 {
		t.Errorf("status %d", jsd.Status())
	}
	for _, status := range []string{"\n    0 ", "\n    1 ", "\n    2 ", "\n    3 ", "\n    4 ", "\n    130 "} {
		if !strings.Contains(jsd.Printed(), status) {
			t.Errorf("no %q in\n%s", status, jsd.Printed())
		}
	}
}

func TestInterruptedExecLeavesNothing(t *testing.T) {
	for _, driver := range []string{"docker", "process"} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(driver+" "+signal.String(), func(t *testing.T) {
				jsdtest.NeedDriver(t, driver)
				t.Setenv("TMPDIR", t.TempDir())
				loop := filepath.Join(t.TempDir(), "loop.js")
				write(t, loop, "for (;;);")
				jsd := run(t, "exec", loop, "--timeout=10m", "--driver", driver)
				waitStarted(t, driver, jsd.Cmd.Process.Pid)
				jsd.End(signal)
				if said := jsd.Printed() + jsd.Log(); jsd.Status() != statusInterrupted || said != "" {
					t.Errorf("status %d, %s", jsd.Status(), said)
				}
				nothingLeft(t, driver, jsd.Cmd.Process.Pid)
			})
		}
	}
}

// waitStarted returns when a jsd exec has something that it could leave.
func waitStarted(t *testing.T, driver string, pid int) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		if driver == "docker" && containersOf(t, pid) > 0 {
			return
		}
		if entries, _ := os.ReadDir(os.Getenv("TMPDIR")); driver == "process" && len(entries) > 0 {
			return
		}
	}
	t.Fatal("nothing was started")
}

func TestInterruptedExecCancelsItsCall(t *testing.T) {
	began, gone := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = bytes.NewBuffer(nil).ReadFrom(r.Body) // a server sees a client go once it has read its request
		close(began)
		<-r.Context().Done()
		close(gone)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "a.js")
	write(t, file, "1")
	jsd := run(t, "exec", file, "--daemon", server.URL)
	<-began
	jsd.End(syscall.SIGINT)
	<-gone
	if jsd.Status() != statusInterrupted {
		t.Errorf("status %d", jsd.Status())
	}
}
