package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

const (
	traced  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traced2 = "00-1bf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// A watcher keeps the reports of calls.
type watcher struct {
	mu  sync.Mutex
	all []Report
}

func (w *watcher) observe(r Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, r)
}

// take gives the reports since the last time, when there are n of them.
func (w *watcher) take(r *rig, n int) (all []Report) {
	r.Helper()
	r.eventually(fmt.Sprint(n, " reports"), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.all) >= n
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	all, w.all = w.all, nil
	if len(all) != n {
		r.Errorf("%d reports, want %d: %+v", len(all), n, all)
	}
	return all
}

// brief is what tests compare of a report.
func (r Report) brief() string {
	return fmt.Sprintf("%s %s %q %s fault=%t in=%q cold=%t session=%t", strings.TrimPrefix(r.Method, "runtime."), r.Tenant, r.Execution, r.Outcome(), r.Fault, r.Container, r.Cold, r.Session)
}

func observed(t *testing.T, change ...func(*Config)) (*rig, *watcher) {
	w := &watcher{}
	return start(t, append(change, func(c *Config) { c.Observe = w.observe })...), w
}

func TestReports(t *testing.T) {
	r, w := observed(t, func(c *Config) { c.Policy = allowed(Policy{Sessions: 1}) })
	placed := func(err error) does {
		return func(context.Context, string, call.Call) (result, error) {
			return result{Value: message.Null, Container: "c1", Queue: 40 * time.Millisecond, Cold: true}, err
		}
	}
	stopped := &call.LostError{Started: true, Cause: call.ErrClosed}
	r.runner.scripts["placed"] = placed(nil)
	r.runner.scripts["placed, throws"] = placed(&call.Failure{Code: call.Exception, Name: "Error"})
	r.runner.scripts["stopped"] = placed(fmt.Errorf("wrapped: %w", stopped))
	a := asker{r.dial(), false}
	for _, test := range []struct{ method, params, want string }{
		{execute, `{"code":"placed","tenant":"t","execution":"e"}`, `execute t "e" ok fault=false in="c1" cold=true session=false`},
		{execute, `{"code":"placed, throws","execution":"e"}`, `execute default "e" 1000 fault=false in="c1" cold=true session=false`},
		{execute, `{"code":"stopped","execution":"f"}`, `execute default "f" 1005 fault=false in="c1" cold=true session=false`},
		{execute, `{"code":"broken","execution":"g"}`, `execute default "g" 1005 fault=true in="" cold=false session=false`},
		{execute, `{"code":"odd","execution":"h"}`, `execute default "h" -32603 fault=true in="" cold=false session=false`},
		{execute, `{"code":"busy","execution":"i"}`, `execute default "i" 1006 fault=false in="" cold=false session=false`},
		{execute, `{"code":"1","timeout":100000,"tenant":"t"}`, `execute t "" 1007 fault=false in="" cold=false session=false`},
		{execute, `{"code":"1","bundle":"b","tenant":"t"}`, `execute t "" -32602 fault=false in="" cold=false session=false`},
		{execute, `{"code":1,"tenant":"t"}`, `execute  "" -32602 fault=false in="" cold=false session=false`},
		{execute, `{"session":"s","code":"1"}`, `execute  "" 1009 fault=false in="" cold=false session=false`},
		{openMethod, `{"code":"throw","tenant":"t"}`, `open t "-" 1000 fault=false in="" cold=false session=false`},
		{openMethod, `{"code":"placed","tenant":"t"}`, `open t "-" ok fault=false in="c1" cold=true session=false`},
		{openMethod, `{"code":"placed","tenant":"t"}`, `open t "" 1004 fault=false in="" cold=false session=false`},
	} {
		began := time.Now()
		a.ask(test.method, test.params)
		got := w.take(r, 1)[0]
		if strings.Contains(test.want, `"-"`) && got.Execution != "" { // one made here
			got.Execution = "-"
		}
		if got.brief() != test.want {
			t.Errorf("%s %s\ngot  %s\nwant %s", test.method, test.params, got.brief(), test.want)
		}
		if got.Began.Before(began) || got.Began.After(time.Now()) {
			t.Errorf("%s: began at %v", test.params, got.Began)
		}
		if waited := 40 * time.Millisecond; got.Container != "" && (got.Queue != waited || got.Run < 0) {
			t.Errorf("%s: queue %v, run %v", test.params, got.Queue, got.Run)
		} else if got.Container == "" && got.Run != 0 {
			t.Errorf("%s: never in a container, but ran %v", test.params, got.Run)
		}
	}
}

// Time in a container counts as run, time before it as queue, in a session the wait for its turn too.
func TestReportsTellTimeApart(t *testing.T) {
	r, w := observed(t)
	release := make(chan struct{})
	step := r.runner.held(release, "3")
	r.runner.scripts["step"] = func(ctx ctx, tenant string, c call.Call) (result, error) {
		res, err := step(ctx, tenant, c)
		res.Container = "c1"
		return res, err
	}
	r.runner.scripts["quick"] = func(ctx, string, call.Call) (result, error) { return result{Value: message.Null, Container: "c1"}, nil }
	a := asker{r.dial(), false}
	s := a.open("1", `,"tenant":"t"`)
	w.take(r, 1)
	a.send(a.inSession(s, "1", "step", `,"execution":"first"`), a.inSession(s, "2", "quick", `,"execution":"second"`))
	r.running(1)
	time.Sleep(50 * time.Millisecond)
	close(release)
	a.receive()
	a.receive()
	for _, got := range w.take(r, 2) {
		waited, ran := got.Queue >= 50*time.Millisecond, got.Run >= 50*time.Millisecond
		if first := got.Execution == "first"; waited == first || ran != first || !got.Session || got.Tenant != "t" {
			t.Errorf("%+v", got)
		}
	}
}

// A request that gets the outcome of another's run is no run, and one of an ended client's is reported all the same.
func TestReportPerRun(t *testing.T) {
	r, w := observed(t, func(c *Config) { c.MaxInFlight = 1 })
	a := asker{r.dial(), false}
	for range 3 {
		a.ask(execute, `{"code":"1","execution":"e"}`)
	}
	w.take(r, 1)
	a.send(a.execute("7", "wait", `,"detach":true,"execution":"f"`))
	r.running(1)
	if got := a.ask(execute, `{"code":"1","tenant":"t"}`); !strings.Contains(got, "1006") {
		t.Errorf("over the connection's bound: %s", got)
	}
	if got := w.take(r, 1)[0].brief(); !strings.HasPrefix(got, `execute t "" 1006`) {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(r.log.String(), `"reason":"Busy: too many calls in flight on the connection"`) {
		t.Errorf("logged %s", r.log)
	}
	_ = a.conn.CloseNow()
	r.eventually("the connection is gone", func() bool { return r.Connections() == 0 })
	a.another(r).expectOutcome(cancel, `{"execution":"f"}`, yes)
	if got := w.take(r, 1)[0].brief(); !strings.HasPrefix(got, `execute default "f" 1003`) {
		t.Errorf("got %s", got)
	}
}

func TestStoppedContainersAreNoErrorLines(t *testing.T) {
	r := start(t)
	r.runner.scripts["stopped"] = fails(&call.LostError{Started: true, Cause: call.ErrClosed})
	r.dial().send(request1(`1`, "stopped"))
	r.eventually("its line", func() bool { return strings.Contains(r.log.String(), `"outcome":"1005"`) })
	var line struct {
		Level, Error string
		Queue, Run   *float64
	}
	if err := json.Unmarshal([]byte(r.log.String()), &line); err != nil || line.Level != "info" || line.Error != "" || line.Queue == nil || line.Run == nil {
		t.Errorf("%v in %s", err, r.log)
	}
}

func TestTraceOfACall(t *testing.T) {
	field := func(value string) string { return `,"traceparent":"` + value + `"` }
	for _, test := range []struct{ name, header, field, want string }{
		{"none", "", "", ""},
		{"field", "", field(traced), traced},
		{"header", traced, "", traced},
		{"both", traced, field(traced2), traced2},
		{"a malformed field", traced, field("00-1"), traced},
		{"a malformed header", "00-1", "", ""},
		{"null", traced, `,"traceparent":null`, traced},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, w := observed(t)
			header := http.Header{}
			if test.header != "" {
				header.Set("traceparent", test.header)
			}
			a := asker{r.dial(&websocket.DialOptions{HTTPHeader: header}), false}
			s := a.open("1", test.field)
			a.send(a.execute("2", "1", test.field), a.inSession(s, "3", "count", test.field), a.execute("4", "1", test.field+`,"timeout":100000`))
			for range 3 {
				a.receive()
			}
			request, _ := http.NewRequest(http.MethodPost, r.http.URL+"/rpc", strings.NewReader(a.execute("5", "1", test.field)))
			request.Header = header
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			for _, got := range w.take(r, 5) {
				if got.Trace != test.want {
					t.Errorf("%s: got %q, want %q", got.brief(), got.Trace, test.want)
				}
			}
			if logged := strings.Count(r.log.String(), `"trace":"`); (logged == 5) != (test.want != "") || logged != 0 && !strings.Contains(r.log.String(), test.want[3:35]) {
				t.Errorf("logged %s", r.log)
			}
			a.expectOutcome(execute, `{"code":"1","traceparent":1}`, wrong("traceparent must be "+(*traceparent)(nil).Expects()))
		})
	}
}

func TestTraceparent(t *testing.T) {
	for value, valid := range map[string]bool{
		traced:                                  true,
		traced[:53] + "03":                      true,
		traced[:53] + "ff":                      false, // flags that version 00 reserves
		"cc" + traced[2:]:                       true,
		"cc" + traced[2:] + "-what-comes-later": true,
		"cc" + traced[2:] + ".what-comes-later": false,
		"cc" + traced[2:] + "-" + strings.Repeat("x", 512): false,
		traced + "-":                         false,
		traced + " ":                         false,
		"ff" + traced[2:]:                    false,
		strings.ToUpper(traced):              false,
		traced[:54]:                          false,
		traced[:54] + "g":                    false,
		strings.Replace(traced, "-", "_", 1): false,
		"0-" + traced[2:]:                    false,
		traced[:3] + strings.Repeat("0", 32) + traced[35:]:  false,
		traced[:36] + strings.Repeat("0", 16) + traced[52:]: false,
		"": false,
	} {
		if got := validTraceparent(value); (got == value && got != "") != valid {
			t.Errorf("%q: got %q", value, got)
		}
	}
	if got := traceparentOf(http.Header{"Traceparent": {traced, traced}}); got != "" {
		t.Errorf("two headers: %q", got)
	}
}
