package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/jsd-project/jsd/call"
)

func cancelRequest(id, of string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"runtime.cancel","params":{"id":` + of + `}}`
}

const cancelledTrue = `{"jsonrpc":"2.0","id":"c","result":{"cancelled":true}}`

func TestCancel(t *testing.T) {
	r := start(t)
	p := r.dial()
	for _, id := range []string{`1`, `"a"`, `-1.5`, `123456789012345678901234567890`} {
		p.send(request1(id, "wait"))
		r.running(1)
		p.send(cancelRequest(`"c"`, id))
		p.expectAll(cancelledTrue, failure1(id, 1003, `"message":"Cancelled"`))
		p.send(cancelRequest(`"c"`, id))
		p.expect(`{"jsonrpc":"2.0","id":"c","result":{"cancelled":false}}`)
	}
	p.send(request1(`1`, "stubborn"))
	r.running(1)
	p.send(cancelRequest(`"c"`, `1`))
	p.expectAll(cancelledTrue, failure1(`1`, 1003, `"message":"Cancelled","data":{"console":["before"]}`))
}

// A cancel right behind its request must find it, although nothing has been run yet.
func TestCancelAtOnce(t *testing.T) {
	r := start(t)
	p := r.dial()
	p.send(request1(`1`, "wait"), cancelRequest(`"c"`, `1`))
	p.expectAll(cancelledTrue, failure1(`1`, 1003, `"message":"Cancelled"`))
}

func TestCancelReachesOwnConnectionOnly(t *testing.T) {
	r := start(t)
	p, other := r.dial(), r.dial()
	p.send(request1(`1`, "wait"))
	r.running(1)
	other.send(cancelRequest(`"c"`, `1`))
	other.expect(`{"jsonrpc":"2.0","id":"c","result":{"cancelled":false}}`)
	p.send(cancelRequest(`"c"`, `1`))
	p.expectAll(cancelledTrue, failure1(`1`, 1003, `"message":"Cancelled"`))
}

func TestDuplicateIDLeavesFirstCallAlone(t *testing.T) {
	r := start(t)
	p := r.dial()
	p.send(request1(`1`, "wait"))
	r.running(1)
	p.send(request1(`1`, "1"), request1(`"1"`, "1"))
	p.expectAll(failure1(`1`, -32600, `"message":"Invalid Request: this id is in flight already"`), result1(`"1"`))
	p.send(cancelRequest(`"c"`, `1`))
	p.expectAll(cancelledTrue, failure1(`1`, 1003, `"message":"Cancelled"`))
	p.send(request1(`1`, "1"))
	p.expect(result1(`1`))
}

func TestTooManyInFlight(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxInFlight = 2 })
	p := r.dial()
	p.send(request1(`1`, "wait"), `{"jsonrpc":"2.0","method":"runtime.execute","params":{"code":"wait"}}`)
	r.running(2)
	p.send(request1(`3`, "1"))
	p.expect(failure1(`3`, 1006, `"message":"Busy","data":{"retryAfter":100}`))
	p.send(`{"jsonrpc":"2.0","id":3,"method":"runtime.execute","params":{"code":1}}`)
	p.expect(failure1(`3`, -32602, `"message":"Invalid params: code must be a string"`))

	p.send(cancelRequest(`"c"`, `1`)) // and this is taken all the same
	p.expectAll(cancelledTrue, failure1(`1`, 1003, `"message":"Cancelled"`))
	for range 100 { // the slot is free when the client knows that the call has ended
		p.send(request1(`1`, "1"))
		p.expect(result1(`1`))
	}
}

func TestVanishedClientCancelsCalls(t *testing.T) {
	r := start(t)
	for name, vanish := range map[string]func(*client){
		"close": func(p *client) { _ = p.conn.Close(websocket.StatusNormalClosure, "") },
		"drop":  func(p *client) { _ = p.conn.CloseNow() },
	} {
		p := r.dial()
		p.send(request1(`1`, "wait"), `[`+request1(`2`, "wait")+`]`, `{"jsonrpc":"2.0","method":"runtime.execute","params":{"code":"wait"}}`)
		r.running(3)
		vanish(p)
		r.eventually(name+": nothing is left", func() bool { return open(r) == 0 })
	}
	if got := strings.Count(r.log.String(), `"outcome":"1003"`); got != 6 {
		t.Errorf("%d calls were cancelled, want 6:\n%s", got, r.log)
	}
}

func open(r *rig) int {
	return r.Connections()
}

func TestManyCallsAtOnce(t *testing.T) {
	r := start(t)
	p := r.dial()
	const calls = 500
	for i := range calls {
		p.send(request1(fmt.Sprint(i), []string{"1", "throw", "print"}[i%3]))
	}
	seen := map[int]bool{}
	for range calls {
		var reply struct {
			ID     int
			Result *struct{ Value int }
			Error  *struct{ Code int }
		}
		if err := json.Unmarshal([]byte(p.receive()), &reply); err != nil {
			t.Fatal(err)
		}
		if (reply.ID%3 == 1) != (reply.Error != nil) || reply.ID%3 == 0 && reply.Result.Value != 1 {
			t.Errorf("a reply to another call: %+v", reply)
		}
		seen[reply.ID] = true
	}
	if len(seen) != calls {
		t.Errorf("%d replies, want %d", len(seen), calls)
	}
}

func TestShutdownLetsCallsEnd(t *testing.T) {
	before := goleak.IgnoreCurrent()
	r := start(t)
	release := make(chan struct{})
	r.runner.scripts["held"] = func(ctx context.Context, _ string, c call.Call) (result, error) {
		r.runner.started <- codeOf(c)
		<-release
		return result{Value: json.RawMessage(`1`), Time: 3}, ctx.Err()
	}
	idle, busyOne, duplex := r.dial(), r.dial(), r.dialDuplex()
	idle.send(request1(`0`, "1"))
	idle.expect(result1(`0`))
	busyOne.send(request1(`1`, "held"), `[`+request1(`3`, "1")+`,`+request1(`2`, "held")+`]`)
	duplex.send(`{"type":"req","id":1,"method":"runtime.execute","payload":{"code":"held"}}`)
	r.running(3)

	done := make(chan error, 1)
	go func() { done <- r.Shutdown(context.Background()) }()
	idle.expectClose(websocket.StatusGoingAway, "shutting down")
	r.eventually("no new connections", func() bool { return r.get("/readyz") == 503 })
	if _, resp, err := websocket.Dial(duplex.ctx, r.url(), nil); err == nil || resp.StatusCode != 503 {
		t.Errorf("a connection while shutting down: %v", err)
	}
	busyOne.send(request1(`4`, "1"))
	busyOne.expect(failure1(`4`, 1006, `"message":"Busy","data":{"retryAfter":1000}`))
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned %v under calls", err)
	default:
	}

	close(release)
	busyOne.expectAll(result1(`1`), `[`+result1(`3`)+`,`+result1(`2`)+`]`)
	busyOne.expectClose(websocket.StatusGoingAway, "shutting down")
	duplex.expect(`{"type":"rep","id":1,"payload":{"value":1,"console":[],"time":3}}`)
	duplex.expectClose(websocket.StatusGoingAway, "shutting down")
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.http.Close()
	goleak.VerifyNone(t, before)
}

func TestShutdownOutOfTimeCancelsCalls(t *testing.T) {
	r := start(t)
	p := r.dial()
	p.send(request1(`1`, "wait"))
	r.running(1)
	upload, stuck := io.Pipe()
	defer stuck.Close()
	posted := make(chan int, 1)
	go func() {
		req, _ := http.NewRequest("POST", r.http.URL+"/rpc", upload)
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			posted <- resp.StatusCode
		}
		close(posted)
	}()
	if _, err := stuck.Write([]byte("[")); err != nil {
		t.Fatal(err)
	}
	r.eventually("both are there", func() bool { return open(r) == 2 })

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(ctx) }()
	p.expect(failure1(`1`, 1003, `"message":"Cancelled"`))
	p.expectClose(websocket.StatusGoingAway, "shutting down")
	if err := <-done; err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if status := <-posted; status != http.StatusBadRequest {
		t.Errorf("a body that never ends: got %d", status)
	}
}

func TestLogLinePerCall(t *testing.T) {
	r := start(t)
	p := r.dial()
	for i, code := range []string{"1", "throw", "odd", "lost"} {
		p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":%q,"execution":"step-%d"}}`, code, i+1))
		p.receive()
		r.eventually("its line is there", func() bool { return strings.Count(r.log.String(), "\n") == i+1 }) // behind the reply
	}
	type line struct {
		Level, Tenant, Outcome, Error, Message, Execution string

		Run *float64
	}
	want := []line{
		{Level: "info", Outcome: "ok", Execution: "step-1"},
		{Level: "info", Outcome: "1000", Execution: "step-2"},
		{Level: "error", Outcome: "-32603", Execution: "step-3", Error: "no engine at /some/secret/place"},
		{Level: "error", Outcome: "1005", Execution: "step-4", Error: "container lost: no engine at /some/secret/place"},
	}
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), r.log)
	}
	for i, raw := range lines {
		var got line
		if err := json.Unmarshal([]byte(raw), &got); err != nil || got.Run == nil {
			t.Errorf("%v in %s", err, raw)
		}
		want[i].Tenant, want[i].Message, got.Run = "default", "call", nil
		if got != want[i] {
			t.Errorf("got  %+v\nwant %+v", got, want[i])
		}
		if strings.Contains(raw, "TypeError") || strings.Contains(raw, "main.js") {
			t.Errorf("a line tells of the script: %s", raw)
		}
	}
}

func TestLogOfFaultsAlone(t *testing.T) {
	r := start(t, func(c *Config) { c.Log = c.Log.Level(zerolog.WarnLevel) })
	p := r.dial()
	p.send(request1(`1`, "throw"))
	p.receive()
	p.send(request1(`1`, "odd"))
	p.receive()
	r.eventually("a fault of the daemon is logged", func() bool { return strings.Contains(r.log.String(), `"outcome":"-32603"`) })
	if got := r.log.String(); strings.Count(got, "\n") != 1 {
		t.Errorf("logged %s", got)
	}
}
