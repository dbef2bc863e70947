package daemon_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// An exchange is a block of protocol.md: what a client sends (→) and gets (←).
type exchange struct {
	section string
	lines   []string
}

func exchanges(page string) (all []exchange) {
	section, open := "", false
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			section = heading
		}
		text, indented := strings.CutPrefix(line, "    ")
		shown := indented && (strings.HasPrefix(text, "→ ") || strings.HasPrefix(text, "← ") || strings.HasPrefix(text, "("))
		if shown && !open {
			all = append(all, exchange{section: section})
		}
		if open = shown; shown {
			e := &all[len(all)-1]
			e.lines = append(e.lines, text)
		}
	}
	return all
}

// A replay plays exchanges to a daemon. In what it gets, … stands for anything. A string that ends in it
// is a name: what it stood for is sent where the client sends it.
type replay struct {
	t       *testing.T
	address string
	conn    *websocket.Conn // nil: none yet
	names   map[string]string
}

func (r *replay) play(ctx context.Context, e exchange) {
	var due []string // to come in any order
	for _, line := range append(slices.Clone(e.lines), "") {
		if frame, ok := strings.CutPrefix(line, "← "); ok {
			due = append(due, frame)
			continue
		}
		r.getAll(ctx, due)
		due = nil
		frame, ok := strings.CutPrefix(line, "→ ")
		if !ok {
			if line != "" { // the connection drops
				r.conn.Close(websocket.StatusNormalClosure, "")
				r.conn = nil
			}
			continue
		}
		r.connect(ctx, strings.HasPrefix(frame, `{"type"`))
		for name, value := range r.names {
			frame = strings.ReplaceAll(frame, name, value)
		}
		if err := r.conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// connect makes a connection where there is none, and it one of Duplex unless that is in the exchange.
func (r *replay) connect(ctx context.Context, duplex bool) {
	if r.conn != nil {
		return
	}
	conn, _, err := websocket.Dial(ctx, "ws://"+r.address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(16 << 20)
	if r.conn = conn; duplex {
		r.play(ctx, exchange{lines: []string{"→ SIMPLEX/1.0;json", "← +OK"}})
	}
}

func (r *replay) getAll(ctx context.Context, due []string) {
	for len(due) > 0 {
		_, got, err := r.conn.Read(ctx)
		if err != nil {
			r.t.Fatalf("%v; want %s", err, due)
		}
		i := slices.IndexFunc(due, func(want string) bool { return r.matches(string(got), want) })
		if i < 0 {
			r.t.Fatalf("got  %.500s\nwant %s", got, strings.Join(due, "\n  or "))
		}
		due = slices.Delete(due, i, i+1)
	}
}

var (
	took     = regexp.MustCompile(`"time":\d+`)
	anything = regexp.MustCompile(`"?\w*…`)
)

func (r *replay) matches(got, want string) bool {
	got, want = took.ReplaceAllString(got, `"time":0`), took.ReplaceAllString(want, `"time":0`)
	pattern, names, from := "^", []string(nil), 0
	for _, at := range anything.FindAllStringIndex(want, -1) {
		hole := want[at[0]:at[1]]
		pattern += regexp.QuoteMeta(want[from:at[0]])
		from = at[1]
		if name, ok := strings.CutPrefix(hole, `"`); ok {
			pattern += `"([^"]*)`
			names = append(names, name)
		} else {
			pattern += regexp.QuoteMeta(strings.TrimSuffix(hole, "…")) + ".*"
		}
	}
	found := regexp.MustCompile(pattern + regexp.QuoteMeta(want[from:]) + "$").FindStringSubmatch(got)
	for i, name := range names {
		if found != nil && name != "…" {
			r.names[name] = found[i+1]
		}
	}
	return found != nil
}

func TestProtocolExchanges(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	all := exchanges(string(page))
	if len(all) < 20 {
		t.Fatalf("found %d exchanges", len(all))
	}
	for _, driver := range []string{"docker", "process"} {
		t.Run(driver, func(t *testing.T) {
			d := start(t, driver)
			for _, e := range all {
				t.Run(e.section, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					(&replay{t: t, address: d.Address(), names: map[string]string{}}).play(ctx, e)
				})
			}
		})
	}
}
