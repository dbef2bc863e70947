package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const largestReply = 16 << 20

// A client makes calls over one WebSocket, any number at once.
type client struct {
	conn *websocket.Conn
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards what follows
	nextID  uint64
	pending map[uint64]waiting
	err     error // why the reader ended
}

// A waiting request has no reply yet. The value of the reply has to be want.
type waiting struct {
	want   []byte
	answer chan reply
}

func dial(ctx context.Context, url string) (*client, error) {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(largestReply)
	c := &client{conn: conn, done: make(chan struct{}), pending: make(map[uint64]waiting)}
	go c.read()
	return c, nil
}

func (c *client) close() {
	_ = c.conn.CloseNow()
	<-c.done
}

// read passes each reply to the request that waits for it, until the connection ends.
func (c *client) read() {
	defer close(c.done)
	var text bytes.Buffer
	for {
		if err := c.readReply(&text); err != nil {
			c.mu.Lock()
			c.err = err
			c.mu.Unlock()
			return
		}
	}
}

func (c *client) readReply(text *bytes.Buffer) error {
	_, message, err := c.conn.Reader(context.Background())
	if err != nil {
		return err
	}
	text.Reset()
	if _, err := text.ReadFrom(message); err != nil {
		return err
	}
	at := time.Now()
	r, err := parseReply(text.Bytes())
	if err != nil {
		return err
	}
	r.at = at
	c.mu.Lock()
	request, known := c.pending[r.id]
	delete(c.pending, r.id)
	c.mu.Unlock()
	if known {
		r.expect(request.want)
		request.answer <- r
	}
	return nil
}

// A sent request has been written to the connection.
type sent struct {
	at     time.Time // before it was written
	answer <-chan reply
}

func (c *client) send(ctx context.Context, method, params string, want []byte) (sent, error) {
	answer := make(chan reply, 1)
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	c.pending[id] = waiting{want, answer}
	c.mu.Unlock()
	text := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params)
	at := time.Now()
	if err := c.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return sent{}, err
	}
	return sent{at, answer}, nil
}

// wait returns the reply, which may hold an error of the daemon.
func (c *client) wait(ctx context.Context, s sent) (reply, error) {
	select {
	case r := <-s.answer:
		return r, nil
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return reply{}, c.err
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

// request sends a request that is not measured, and returns its reply. An error of the daemon is an error.
func (c *client) request(ctx context.Context, method, params string) (reply, error) {
	s, err := c.send(ctx, method, params, nil)
	if err != nil {
		return reply{}, err
	}
	r, err := c.wait(ctx, s)
	if err == nil && r.failed != nil {
		err = fmt.Errorf("%s failed: %w", method, r.failed)
	}
	return r, err
}

// put sends the files of a script, if it has any. The script names the bundle from then on.
func (c *client) put(ctx context.Context, s *script, tenant string) error {
	if s.files == nil {
		return nil
	}
	files, err := json.Marshal(s.files)
	if err != nil {
		return err
	}
	r, err := c.request(ctx, "runtime.put", fmt.Sprintf(`{"files":%s,"tenant":%q}`, files, tenant))
	if err != nil {
		return err
	}
	s.params = fmt.Sprintf(`{"bundle":%q,"globals":{"a":1},"call":"run"`, r.bundle)
	return nil
}
