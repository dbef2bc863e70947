package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// A client makes calls over one WebSocket, any number at once.
type client struct {
	conn *websocket.Conn
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards what follows
	nextID  uint64
	pending map[uint64]chan reply
	err     error // why the reader ended
}

type reply struct {
	ID     uint64 `json:"id"`
	Result struct {
		Value  json.RawMessage `json:"value"`
		Bundle string          `json:"bundle"`
	} `json:"result"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func dial(ctx context.Context, url string) (*client, error) {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, done: make(chan struct{}), pending: make(map[uint64]chan reply)}
	go c.read()
	return c, nil
}

func (c *client) close() {
	_ = c.conn.CloseNow()
	<-c.done
}

// read hands each reply to the call that waits for it, until the connection ends.
func (c *client) read() {
	defer close(c.done)
	for {
		_, text, err := c.conn.Read(context.Background())
		var r reply
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		c.mu.Lock()
		if err != nil {
			c.err = err
			c.mu.Unlock()
			return
		}
		waiting := c.pending[r.ID]
		delete(c.pending, r.ID)
		c.mu.Unlock()
		if waiting != nil {
			waiting <- r
		}
	}
}

// call runs a script for a tenant and gives the time from sending to the answer.
func (c *client) call(ctx context.Context, s script, tenant string) (time.Duration, error) {
	answer, took, err := c.request(ctx, "runtime.execute", fmt.Sprintf(`%s,"tenant":%q}`, s.params, tenant))
	if err != nil {
		return 0, err
	}
	if err := answer.check(); err != nil {
		return 0, fmt.Errorf("%s %w", s.name, err)
	}
	return took, nil
}

// put sends the files of a script, if it has any, and lets it name what they became.
func (c *client) put(ctx context.Context, s *script, tenant string) error {
	if s.files == nil {
		return nil
	}
	files, err := json.Marshal(s.files)
	if err != nil {
		return err
	}
	answer, _, err := c.request(ctx, "runtime.put", fmt.Sprintf(`{"files":%s,"tenant":%q}`, files, tenant))
	if err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("the files were not taken: %d %s", answer.Error.Code, answer.Error.Message)
	}
	s.params = fmt.Sprintf(`{"bundle":%q,"globals":{"a":1},"call":"run"`, answer.Result.Bundle)
	return nil
}

// request gives the answer to a request, which may be an error, and the time it took to come.
func (c *client) request(ctx context.Context, method, params string) (reply, time.Duration, error) {
	answer := make(chan reply, 1)
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	c.pending[id] = answer
	c.mu.Unlock()

	request := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params)
	began := time.Now()
	if err := c.conn.Write(ctx, websocket.MessageText, request); err != nil {
		return reply{}, 0, err
	}
	select {
	case r := <-answer:
		return r, time.Since(began), nil
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return reply{}, 0, c.err
	case <-ctx.Done():
		return reply{}, 0, ctx.Err()
	}
}

// check keeps a daemon that answers fast and wrong out of the table.
func (r *reply) check() error {
	if r.Error != nil {
		return fmt.Errorf("failed: %d %s", r.Error.Code, r.Error.Message)
	}
	if string(r.Result.Value) != "2" {
		return fmt.Errorf("came to %s instead of 2", r.Result.Value)
	}
	return nil
}

// oneByOne makes calls with one in flight.
func (c *client) oneByOne(ctx context.Context, s script, tenant string, calls int) ([]time.Duration, error) {
	times := make([]time.Duration, 0, calls)
	for range calls {
		took, err := c.call(ctx, s, tenant)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}

// flood makes calls with width in flight and gives how many a second were answered.
func (c *client) flood(ctx context.Context, s script, tenant string, calls, width int) (float64, error) {
	queue := make(chan struct{}, calls)
	for range calls {
		queue <- struct{}{}
	}
	close(queue)
	errs := make([]error, width)
	began := time.Now()
	var callers sync.WaitGroup
	for i := range width {
		callers.Go(func() {
			for range queue {
				if _, errs[i] = c.call(ctx, s, tenant); errs[i] != nil {
					return
				}
			}
		})
	}
	callers.Wait()
	return float64(calls) / time.Since(began).Seconds(), errors.Join(errs...)
}
