package main

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

// A reply is what either dialect answers a call with.
type reply struct {
	Result json.RawMessage `json:"result"`
	Error  *replyError     `json:"error"`

	streamed []string // the lines of console told before it, each behind its level
}

type replyError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// A client speaks one of the dialects on one socket; its calls may be made at once.
type client struct {
	t         *testing.T
	duplex    bool
	conn      *websocket.Conn
	done      chan struct{}
	answering sync.WaitGroup // goroutines of answer

	mu      sync.Mutex // guards all below
	next    int
	waiting map[int]chan reply
	lines   map[int][]string // of the calls in waiting
	answer  func(callback)   // called for each callback, in its own goroutine
}

// A callback is what a script asks the client.
type callback struct {
	client    *client
	number    int // jsd's id
	ID        int
	Execution string
	Name      string
	Args      []json.RawMessage
}

func dial(t *testing.T, address, dialect string, header http.Header) *client {
	t.Helper()
	return dialBy(t, "ws://"+address, dialect, &websocket.DialOptions{HTTPHeader: header})
}

func dialBy(t *testing.T, url, dialect string, options *websocket.DialOptions) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, options)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	c := &client{t: t, duplex: dialect == "duplex", conn: conn, done: make(chan struct{}), waiting: map[int]chan reply{}, lines: map[int][]string{}}
	if c.duplex {
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
		<-c.done
		c.answering.Wait()
	})
	return c
}

func (c *client) read() {
	defer close(c.done)
	for {
		_, frame, err := c.conn.Read(context.Background())
		if err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(frame, &m); err != nil {
			c.t.Errorf("not JSON: %s", frame)
			return
		}
		if !c.take(m) {
			c.t.Errorf("nobody waits for %s", frame)
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
	reply
}

// take brings a frame to who waits for it, if anybody does.
func (c *client) take(m message) bool {
	if c.duplex {
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
	m.streamed = c.lines[m.ID]
	delete(c.waiting, m.ID)
	delete(c.lines, m.ID)
	c.mu.Unlock()
	if answer == nil {
		return false
	}
	answer <- m.reply
	return true
}

// takeLine notes a line of console, which has to come before its call's reply.
func (c *client) takeLine(id int, line string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[id] == nil {
		return false
	}
	c.lines[id] = append(c.lines[id], line)
	return true
}

func (c *client) takeCallback(m message) bool {
	asked := callback{client: c, number: m.ID}
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	if json.Unmarshal(m.Params, &asked) != nil || answer == nil {
		return false
	}
	c.answering.Go(func() { answer(asked) })
	return true
}

// answers sets what callbacks are answered by, from now on.
func (c *client) answers(answer func(callback)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// begins waits until the call's script has called the client back, which puts what it asks into begun.
func (c *client) begins(answer <-chan reply, begun <-chan callback) callback {
	c.t.Helper()
	select {
	case b := <-begun:
		return b
	case r := <-answer:
		c.t.Fatalf("it has not begun, but got %v", r)
	case <-time.After(60 * time.Second):
		c.t.Fatal("it has not begun")
	}
	return callback{}
}

// resolve answers with a value, reject with an error, respond with whatever is given.
func (b callback) resolve(value any) {
	if b.client.duplex {
		b.respond(map[string]any{"payload": value})
		return
	}
	b.respond(map[string]any{"result": value})
}

func (b callback) reject(code int, message string, data any) {
	b.respond(map[string]any{"error": map[string]any{"code": code, "message": message, "data": data}})
}

func (b callback) respond(fields map[string]any) {
	frame := map[string]any{"jsonrpc": "2.0", "id": b.number}
	if b.client.duplex {
		frame = map[string]any{"type": "rep", "id": b.number}
	}
	maps.Copy(frame, fields)
	b.client.send(frame)
}

func (c *client) send(frame any) {
	c.t.Helper()
	text, err := json.Marshal(frame)
	if err != nil {
		c.t.Error(err)
		return
	}
	if err := c.conn.Write(context.Background(), websocket.MessageText, text); err != nil {
		c.t.Error(err)
	}
}

// start sends a request and gives its id and where its reply comes.
func (c *client) start(method string, params any) (int, <-chan reply) {
	c.t.Helper()
	answer := make(chan reply, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.waiting[id] = answer
	c.mu.Unlock()
	request := map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params}
	if c.duplex {
		request = map[string]any{"type": "req", "id": id, "method": method, "payload": params}
	}
	c.send(request)
	return id, answer
}

func (c *client) wait(answer <-chan reply) reply {
	c.t.Helper()
	select {
	case r := <-answer:
		return r
	case <-time.After(60 * time.Second):
		c.t.Error("no reply")
		return reply{Error: &replyError{Message: "no reply"}}
	}
}

func (c *client) call(method string, params any) reply {
	c.t.Helper()
	_, answer := c.start(method, params)
	return c.wait(answer)
}

func (c *client) execute(script map[string]any) reply {
	c.t.Helper()
	return c.call("runtime.execute", script)
}

// String is the reply's essence: the value, or code and message.
func (r reply) String() string {
	if r.Error != nil {
		return fmt.Sprintf("%d %s", r.Error.Code, r.Error.Message)
	}
	var result struct{ Value json.RawMessage }
	if err := json.Unmarshal(r.Result, &result); err != nil {
		return err.Error()
	}
	return string(result.Value)
}

func (r reply) console() string {
	var with struct{ Console json.RawMessage }
	if r.Error != nil {
		json.Unmarshal(r.Error.Data, &with)
	} else {
		json.Unmarshal(r.Result, &with)
	}
	return string(with.Console)
}

func (r reply) data(key string) string {
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
