package main

import (
	"context"
	"encoding/json"
	"fmt"
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
}

type replyError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// A client speaks one of the dialects on one socket; its calls may be made at once.
type client struct {
	t      *testing.T
	duplex bool
	conn   *websocket.Conn
	done   chan struct{}

	mu      sync.Mutex // guards all below
	next    int
	waiting map[int]chan reply
}

func dial(t *testing.T, address, dialect string, header http.Header) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+address, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	c := &client{t: t, duplex: dialect == "duplex", conn: conn, done: make(chan struct{}), waiting: map[int]chan reply{}}
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
		var message struct {
			ID      int             `json:"id"`
			Type    string          `json:"type"`
			Payload json.RawMessage `json:"payload"`
			reply
		}
		if err := json.Unmarshal(frame, &message); err != nil {
			c.t.Errorf("not JSON: %s", frame)
			return
		}
		if c.duplex {
			message.Result = message.Payload
		}
		c.mu.Lock()
		answer := c.waiting[message.ID]
		delete(c.waiting, message.ID)
		c.mu.Unlock()
		if answer == nil {
			c.t.Errorf("a reply that nobody waits for: %s", frame)
			continue
		}
		answer <- message.reply
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
	frame, err := json.Marshal(request)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, frame); err != nil {
		c.t.Error(err)
	}
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

func (c *client) execute(script map[string]any) reply {
	c.t.Helper()
	_, answer := c.start("runtime.execute", script)
	return c.wait(answer)
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
