package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// addHostScripts adds those that reach their client, or keep something in their session.
func (r *runner) addHostScripts() {
	r.scripts["stream"] = func(_ ctx, _ string, c call.Call) (result, error) {
		console := []string{"a<b>", "two\nlines", "my secret"}
		for i, line := range console {
			if !c.Stream {
				break
			}
			c.Client.Print([]string{"log", "warn", "error"}[i], line)
		}
		return result{Value: json.RawMessage(`0`), Console: console, Time: 1}, nil
	}
	r.scripts["flood"] = func(_ ctx, _ string, c call.Call) (result, error) {
		for range 1000 {
			c.Client.Print("log", strings.Repeat("x", 10<<10))
		}
		return result{Value: json.RawMessage(`0`)}, nil
	}
	r.scripts["ask"] = func(ctx ctx, _ string, c call.Call) (result, error) {
		return answered(c.Client.Callback(ctx, "f", json.RawMessage(`[1,"a<b>",1e400]`)))
	}
	r.scripts["ask another"] = func(ctx ctx, _ string, c call.Call) (result, error) {
		return answered(c.Client.Callback(ctx, "g", json.RawMessage(`[]`)))
	}
	r.scripts["ask and tell"] = func(ctx ctx, _ string, c call.Call) (result, error) {
		r.started <- "asking"
		res, err := answered(c.Client.Callback(ctx, "f", json.RawMessage(`[]`)))
		if ctx.Err() == nil {
			r.started <- string(res.Value)
		}
		return res, err
	}
	r.scripts["ask ten thousand"] = func(ctx ctx, _ string, c call.Call) (result, error) {
		var mu sync.Mutex
		var all sync.WaitGroup
		sum, refused := 0, 0
		for i := range 10_000 {
			all.Go(func() {
				v, err := c.Client.Callback(ctx, "f", json.RawMessage(fmt.Sprintf(`[%d]`, i)))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused++
					return
				}
				var n int
				_ = json.Unmarshal(v, &n)
				if n == i {
					sum++
				}
			})
		}
		all.Wait()
		return result{Value: json.RawMessage(fmt.Sprintf(`{"right":%d,"refused":%d}`, sum, refused))}, nil
	}
	inSession := func(do func(s *fakeSession) string) does {
		return func(ctx ctx, _ string, _ call.Call) (result, error) {
			s, ok := ctx.Value(sessionKey{}).(*fakeSession)
			if !ok {
				return result{}, errSecretPlace
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return result{Value: json.RawMessage(do(s))}, nil
		}
	}
	r.scripts["read"] = inSession(func(s *fakeSession) string { return fmt.Sprint(s.x) })
	r.scripts["count"] = inSession(func(s *fakeSession) string { s.x++; return fmt.Sprint(s.x) })
}

// answered is the value of a script that returns what its client answered, or how it failed.
func answered(v json.RawMessage, err error) (result, error) {
	var said *call.CallbackError
	if errors.As(err, &said) {
		v = message.AppendJSON(nil, map[string]any{"message": said.Message, "code": said.Code, "data": said.Data})
	} else if err != nil {
		return result{}, err
	}
	return result{Value: v}, nil
}
