package attack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// patience is how long a reply may take: more than any deadline of jsd's own, so that what does not come in it
// never comes.
const patience = 90 * time.Second

// A script is the params of runtime.execute.
type script map[string]any

func (s script) with(more script) script {
	all := maps.Clone(s)
	if all == nil {
		all = script{}
	}
	maps.Copy(all, more)
	return all
}

// unanswered is what a callback gives that shall get no response.
var unanswered any = new(byte)

// A reply is what a call is answered.
type reply struct {
	Result struct {
		Value   json.RawMessage
		Console []string
		Time    int64
		Session string
	}
	Error *struct {
		Code    int
		Message string
		Data    struct {
			Limit   string
			What    string
			Message string
			Stack   string
			Console []string
		}
	}
	broken error // of the connection
	whole  string
}

// String is a reply's essence, as tables have it: the value, `1000 TypeError`, `1004 memory`, `1005`.
func (r reply) String() string {
	switch {
	case r.broken != nil:
		return r.broken.Error()
	case r.Error == nil:
		return string(r.Result.Value)
	case r.Error.Code == 1000 || r.Error.Code == 1008:
		return fmt.Sprintf("%d %s", r.Error.Code, r.Error.Message)
	case r.Error.Data.Limit != "":
		return fmt.Sprintf("%d %s", r.Error.Code, r.Error.Data.Limit)
	default:
		return fmt.Sprint(r.Error.Code)
	}
}

// A client is one connection that speaks JSON-RPC. It may be used by many at once.
type client struct {
	conn *websocket.Conn
	done chan struct{} // closed when the reader has ended

	answering sync.WaitGroup // those who answer callbacks

	mu        sync.Mutex // guards what follows
	next      int
	waiting   map[int]chan reply
	callbacks map[string]func(args []json.RawMessage) any // by name; each is called in a goroutine of its own
	broken    error
}

var (
	errNoReply  = errors.New("no reply")
	errNobodys  = errors.New("a reply that nobody waits for")
	errDropped  = errors.New("the connection dropped")
	errUnheard  = errors.New("a callback that nobody offered")
	errNotSent  = errors.New("the request could not be sent")
	errNoFrames = errors.New("not JSON")
)

func dial(ctx context.Context, address string) (*client, error) {
	conn, _, err := websocket.Dial(ctx, "ws://"+address, &websocket.DialOptions{HTTPHeader: http.Header{"X-Runtime-Secret": {credential}}})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(64 << 20)
	c := &client{conn: conn, done: make(chan struct{}), waiting: map[int]chan reply{}, callbacks: map[string]func([]json.RawMessage) any{}}
	go c.read()
	return c, nil
}

func (c *client) close() {
	_ = c.conn.CloseNow()
	<-c.done
	c.answering.Wait()
}

func (c *client) read() {
	defer close(c.done)
	for {
		_, text, err := c.conn.Read(context.Background())
		if err != nil {
			c.fail(fmt.Errorf("%w: %w", errDropped, err))
			return
		}
		if err := c.take(text); err != nil {
			c.fail(err)
			return
		}
	}
}

// fail ends all calls that wait.
func (c *client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
	for id, answer := range c.waiting {
		delete(c.waiting, id)
		answer <- reply{broken: err}
	}
}

func (c *client) take(text []byte) error {
	var m struct {
		ID     int
		Method string
		Params struct {
			Name string
			Args []json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%w: %w", errNoFrames, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m.Method {
	case "runtime.console":
		return nil
	case "runtime.callback":
		callback := c.callbacks[m.Params.Name]
		if callback == nil {
			return fmt.Errorf("%w: %s", errUnheard, m.Params.Name)
		}
		c.answering.Go(func() {
			if result := callback(m.Params.Args); result != unanswered {
				c.send(map[string]any{"jsonrpc": "2.0", "id": m.ID, "result": result})
			}
		})
		return nil
	}
	answer := c.waiting[m.ID]
	if answer == nil {
		return fmt.Errorf("%w: %.200s", errNobodys, text)
	}
	delete(c.waiting, m.ID)
	r := reply{whole: string(text)}
	if err := json.Unmarshal(text, &r); err != nil {
		r.broken = err
	}
	answer <- r
	return nil
}

// offer answers callbacks of a name.
func (c *client) offer(name string, callback func(args []json.RawMessage) any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callbacks[name] = callback
}

func (c *client) send(frame any) {
	text, err := json.Marshal(frame)
	if err == nil {
		err = c.conn.Write(context.Background(), websocket.MessageText, text)
	}
	if err != nil {
		c.fail(fmt.Errorf("%w: %w", errNotSent, err))
	}
}

// start sends a request and gives where its reply comes.
func (c *client) start(method string, params any) <-chan reply {
	answer := make(chan reply, 1)
	c.mu.Lock()
	if c.broken != nil {
		answer <- reply{broken: c.broken}
		c.mu.Unlock()
		return answer
	}
	c.next++
	id := c.next
	c.waiting[id] = answer
	c.mu.Unlock()
	c.send(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	return answer
}

func await(answer <-chan reply) reply {
	select {
	case r := <-answer:
		return r
	case <-time.After(patience):
		return reply{broken: errNoReply}
	}
}

func (c *client) call(method string, params any) reply { return await(c.start(method, params)) }

func (c *client) execute(s script) reply { return c.call("runtime.execute", s) }
