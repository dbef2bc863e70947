// Package jsdtest starts real daemons for tests, in this process or as processes of their own, and speaks with them.
//
// What is started ends with its test, which fails where something is left. Tests that need what is not installed
// here are skipped, or fail where JSD_TEST_REQUIRE=all says that nothing may be left out.
package jsdtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A Reply is what either dialect answers a call with.
type Reply struct {
	Result json.RawMessage `json:"result"`
	Error  *ReplyError     `json:"error"`

	Streamed []string // the lines of console told before it, each behind its level
}

type ReplyError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// A client speaks one of the dialects on one socket; its calls may be made at once.
type Client struct {
	T         testing.TB
	Duplex    bool
	Conn      *websocket.Conn
	Done      chan struct{}  // closed when the connection has ended
	answering sync.WaitGroup // goroutines of answer

	mu      sync.Mutex // guards all below
	next    int
	waiting map[int]chan Reply
	lines   map[int][]string // of the calls in waiting
	answer  func(Callback)   // called for each callback, in its own goroutine
}

// A callback is what a script asks the client.
type Callback struct {
	Client    *Client
	number    int // jsd's id
	ID        int
	Execution string
	Name      string
	Args      []json.RawMessage
}

// Dial connects a client that speaks one of the dialects, json-rpc and duplex, to an address.
func Dial(t testing.TB, address, dialect string, header http.Header) *Client {
	t.Helper()
	return DialURL(t, "ws://"+address, dialect, &websocket.DialOptions{HTTPHeader: header})
}

// DialURL does so by a WebSocket URL.
func DialURL(t testing.TB, url, dialect string, options *websocket.DialOptions) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, options)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	c := &Client{T: t, Duplex: dialect == "duplex", Conn: conn, Done: make(chan struct{}), waiting: map[int]chan Reply{}, lines: map[int][]string{}}
	if c.Duplex {
		if err := conn.Write(ctx, websocket.MessageText, []byte("SIMPLEX/1.0;json")); err != nil {
			t.Fatal(err)
		}
		if _, greeting, err := conn.Read(ctx); err != nil || string(greeting) != "+OK" {
			t.Fatalf("greeting %q, %v; want +OK", greeting, err)
		}
	}
	go c.read()
	t.Cleanup(func() {
		conn.CloseNow()
		<-c.Done
		c.answering.Wait()
	})
	return c
}

func (c *Client) read() {
	defer close(c.Done)
	for {
		_, frame, err := c.Conn.Read(context.Background())
		if err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(frame, &m); err != nil {
			c.T.Errorf("not JSON: %s", frame)
			return
		}
		if !c.take(m) {
			c.T.Errorf("nobody waits for %s", frame)
		}
	}
}

// A message is any frame of either dialect.
type message struct {
	ID      int             `json:"id"`
	Type    string          `json:"type"`
	Method  string          `json:"method"`
	More    bool            `json:"more"`
	Payload json.RawMessage `json:"payload"`
	Params  json.RawMessage `json:"params"`
	Reply
}

// take brings a frame to who waits for it, if anybody does.
func (c *Client) take(m message) bool {
	if c.Duplex {
		m.Params, m.Result = m.Payload, m.Payload
	}
	var line struct{ Level, Text string }
	switch {
	case m.Method == "runtime.callback":
		return c.takeCallback(m)
	case m.Method == "runtime.console":
		var of struct{ ID int }
		if json.Unmarshal(m.Params, &of) != nil || json.Unmarshal(m.Params, &line) != nil {
			return false
		}
		return c.takeLine(of.ID, line.Level+" "+line.Text)
	case m.More:
		told := struct{ Console any }{&line}
		if json.Unmarshal(m.Payload, &told) != nil {
			return false
		}
		return c.takeLine(m.ID, line.Level+" "+line.Text)
	}
	c.mu.Lock()
	answer := c.waiting[m.ID]
	m.Streamed = c.lines[m.ID]
	delete(c.waiting, m.ID)
	delete(c.lines, m.ID)
	c.mu.Unlock()
	if answer == nil {
		return false
	}
	answer <- m.Reply
	return true
}

// takeLine notes a line of console, which has to come before its call's reply.
func (c *Client) takeLine(id int, line string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[id] == nil {
		return false
	}
	c.lines[id] = append(c.lines[id], line)
	return true
}

func (c *Client) takeCallback(m message) bool {
	asked := Callback{Client: c, number: m.ID}
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	if json.Unmarshal(m.Params, &asked) != nil || answer == nil {
		return false
	}
	c.answering.Go(func() { answer(asked) })
	return true
}

// Answers sets what callbacks are answered by, from now on.
func (c *Client) Answers(answer func(Callback)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// Begins waits until the call's script has called the client back, which puts the callback into begun. The reply may be
// there first: callbacks are answered by goroutines of their own. It is put back then.
func (c *Client) Begins(answer chan Reply, begun <-chan Callback) Callback {
	c.T.Helper()
	select {
	case b := <-begun:
		return b
	case r := <-answer:
		select {
		case b := <-begun:
			answer <- r
			return b
		case <-time.After(5 * time.Second):
			c.T.Fatalf("it has not begun, but got %v", r)
		}
	case <-time.After(60 * time.Second):
		c.T.Fatal("it has not begun")
	}
	return Callback{}
}

// Resolve answers with a value.
func (b Callback) Resolve(value any) {
	if b.Client.Duplex {
		b.Respond(map[string]any{"payload": value})
		return
	}
	b.Respond(map[string]any{"result": value})
}

// Reject answers with an error.
func (b Callback) Reject(code int, message string, data any) {
	b.Respond(map[string]any{"error": map[string]any{"code": code, "message": message, "data": data}})
}

// Respond answers with whatever is given.
func (b Callback) Respond(fields map[string]any) {
	frame := map[string]any{"jsonrpc": "2.0", "id": b.number}
	if b.Client.Duplex {
		frame = map[string]any{"type": "rep", "id": b.number}
	}
	maps.Copy(frame, fields)
	b.Client.Send(frame)
}

// Send sends a frame of the dialect.
func (c *Client) Send(frame any) {
	c.T.Helper()
	text, err := json.Marshal(frame)
	if err != nil {
		c.T.Error(err)
		return
	}
	if err := c.Conn.Write(context.Background(), websocket.MessageText, text); err != nil {
		c.T.Error(err)
	}
}

// Start sends a request and gives its id and where its reply comes.
func (c *Client) Start(method string, params any) (int, chan Reply) {
	c.T.Helper()
	id, answer := c.expect()
	request := map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params}
	if c.Duplex {
		request = map[string]any{"type": "req", "id": id, "method": method, "payload": params}
	}
	c.Send(request)
	return id, answer
}

// expect gives an id that is not in use, and where its reply comes.
func (c *Client) expect() (int, chan Reply) {
	answer := make(chan Reply, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	c.waiting[c.next] = answer
	return c.next, answer
}

// CallRaw sends params as they are written, which may be more than encoding/json takes.
func (c *Client) CallRaw(method, params string) Reply {
	c.T.Helper()
	id, answer := c.expect()
	form := `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`
	if c.Duplex {
		form = `{"type":"req","id":%d,"method":%q,"payload":%s}`
	}
	if err := c.Conn.Write(c.T.Context(), websocket.MessageText, fmt.Appendf(nil, form, id, method, params)); err != nil {
		c.T.Error(err)
	}
	return c.Wait(answer)
}

// Wait gives the reply that comes.
func (c *Client) Wait(answer <-chan Reply) Reply {
	c.T.Helper()
	select {
	case r := <-answer:
		return r
	case <-time.After(60 * time.Second):
		c.T.Error("no Reply")
		return Reply{Error: &ReplyError{Message: "no Reply"}}
	}
}

// Call sends a request and waits for its reply.
func (c *Client) Call(method string, params any) Reply {
	c.T.Helper()
	_, answer := c.Start(method, params)
	return c.Wait(answer)
}

// Execute runs a script.
func (c *Client) Execute(script map[string]any) Reply {
	c.T.Helper()
	return c.Call("runtime.execute", script)
}

// String is the Reply's essence: the value, or code and message.
func (r Reply) String() string {
	if r.Error != nil {
		return fmt.Sprintf("%d %s", r.Error.Code, r.Error.Message)
	}
	var result struct{ Value json.RawMessage }
	if err := json.Unmarshal(r.Result, &result); err != nil {
		return err.Error()
	}
	return string(result.Value)
}

// Whole is all of an error, else the value.
func (r Reply) Whole() string {
	if r.Error == nil || r.Error.Data == nil {
		return r.String()
	}
	return r.String() + " " + string(r.Error.Data)
}

// Console is the lines of console, as JSON.
func (r Reply) Console() string {
	var with struct{ Console json.RawMessage }
	if r.Error != nil {
		json.Unmarshal(r.Error.Data, &with)
	} else {
		json.Unmarshal(r.Result, &with)
	}
	return string(with.Console)
}

// Data is a text in the data of an error; empty where there is none.
func (r Reply) Data(key string) string {
	if r.Error == nil {
		return ""
	}
	var data map[string]any
	json.Unmarshal(r.Error.Data, &data)
	if text, ok := data[key].(string); ok {
		return text
	}
	return ""
}
