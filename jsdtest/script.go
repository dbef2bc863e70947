package jsdtest

import (
	"encoding/json"
	"fmt"
)

// A Script is the params of a call.
type Script = map[string]any

// F is a call of a function with these statements, which end in cb(...).
func F(body string) Script {
	return Script{"code": "function f(cb) { " + body + " }", "call": "f"}
}

// Called is a call of f in a source.
func Called(code string, pairs ...any) Script {
	return With(Script{"code": code, "call": "f"}, pairs...)
}

// With sets more of a script, given as name, value, name, value, and gives it back.
func With(s Script, pairs ...any) Script {
	for i := 0; i < len(pairs); i += 2 {
		s[pairs[i].(string)] = pairs[i+1]
	}
	return s
}

// List is an array, also of nothing.
func List(values ...any) []any { return append([]any{}, values...) }

// Open opens a session and gives its name.
func (c *Client) Open(code string, pairs ...any) string {
	c.T.Helper()
	r := c.Call("runtime.open", With(Script{"code": code}, pairs...))
	var opened struct{ Session string }
	if json.Unmarshal(r.Result, &opened); opened.Session == "" {
		c.T.Fatalf("open: %v %s", r, r.Result)
	}
	return opened.Session
}

// In runs code in a session.
func (c *Client) In(session, code string, pairs ...any) Reply {
	c.T.Helper()
	return c.Execute(With(Script{"session": session, "code": code}, pairs...))
}

// Own is a name that the other dialect's run of the test does not have.
func (c *Client) Own(name string) string { return fmt.Sprint(name, "-", c.Duplex) }

// Put keeps a folder and gives its bundle.
func (c *Client) Put(files Script, pairs ...any) string {
	c.T.Helper()
	id, err := c.TryPut(files, pairs...)
	if err != "" {
		c.T.Fatalf("put: %s", err)
	}
	return id
}

// TryPut gives the bundle, or what the error says.
func (c *Client) TryPut(files Script, pairs ...any) (id, failed string) {
	c.T.Helper()
	got := c.Call("runtime.put", With(Script{"files": files}, pairs...))
	if got.Error != nil {
		return "", fmt.Sprintf("%v %s", got, got.Error.Data)
	}
	var result struct{ Bundle string }
	if err := json.Unmarshal(got.Result, &result); err != nil {
		c.T.Fatal(err)
	}
	return result.Bundle, ""
}

// Stats is what a call that asked for it is told.
type Stats struct {
	Queue, CPU *float64
	Cold       *bool
	Container  string
}

// Stats runs a script and gives its stats.
func (c *Client) Stats(s Script) Stats {
	c.T.Helper()
	r := c.Execute(With(s, "stats", true))
	stats, err := r.Stats()
	if err != nil {
		c.T.Fatal(err)
	}
	return stats
}

// Stats is what a reply tells of its call, which asked for it.
func (r Reply) Stats() (Stats, error) {
	var result struct{ Stats Stats }
	if err := json.Unmarshal(r.Result, &result); err != nil || result.Stats.CPU == nil || result.Stats.Queue == nil || result.Stats.Cold == nil {
		return Stats{}, fmt.Errorf("got %v %s, %v; want stats", r, r.Result, err)
	}
	return result.Stats, nil
}
