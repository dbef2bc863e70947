package attack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jsd-project/jsd/jsdtest"
)

// An attack is a row of a table.
type attack struct {
	name   string
	tries  string // what, in a line
	script script // what runtime.execute gets; tenant and, where it has none, timeout are filled in
	want   string // the reply that is right everywhere
	or     []string
	gVisor []string // replies allowed there besides
	runc   []string // replies allowed there besides
	why    string   // why there may be more than one

	// stays is set for an attack after which its container may be gone, lie to later calls of its tenant, or hold what
	// other rows would find: the container is stopped after it. The other attacks of a table share a container.
	stays bool

	// beside are replies that a call of the same tenant, under way meanwhile, may get instead of its value. What is
	// answered is then what it may cost the tenant itself.
	beside []string
	// before runs where more than the script is needed; it may change what is sent. What it gives runs behind the
	// reply.
	before func(t *testing.T, s *siege, c *client, sent script) (behind func())
	// after looks at the whole reply.
	after func(t *testing.T, s *siege, got reply)
}

// A theme is a table of attacks on one tenant, one after the other.
type theme struct {
	name     string
	policy   string // of its tenant, as in the file
	breached bool   // its image hands scripts their worker
	attacks  []attack
}

// lost is allowed where the container is what an attack ends, and with it the tenant's calls in there.
const lost = "1005"

// anything is allowed where a script speaks for its container's agent: it can say what it likes to its own tenant.
const anything = "*"

func (a attack) allows(got, runtime string) bool {
	allowed := append([]string{a.want}, a.or...)
	if runtime == gVisor {
		allowed = append(allowed, a.gVisor...)
	} else {
		allowed = append(allowed, a.runc...)
	}
	return slices.Contains(allowed, got) || slices.Contains(allowed, anything)
}

const gVisor = "runsc"

// A siege is one daemon, whose containers are of one runtime, and all who attack it.
type siege struct {
	engine    *jsdtest.Engine
	runtime   string
	daemon    *daemon
	neighbour *neighbour
	outside   *outside
	marker    string // in all that attackers send, so that it is known where it turns up
	rest      figures
}

func besiege(t *testing.T, e *jsdtest.Engine, runtime string, themes []theme) *siege {
	t.Helper()
	s := &siege{engine: e, runtime: runtime, marker: "attack-on-" + runtime, outside: listenOutside(t)}
	s.daemon = serve(t, e, "--instance", "attack-"+runtime, "--runtime", runtime, "--tenants", s.policies(t, themes),
		"--spare", "1", "--min-containers", "0", "--max-containers", "12", "--drain-timeout", "2s", "--queue-time", "60s")
	s.neighbour = newNeighbour(t, s.daemon.Address)
	s.neighbour.lap(t)
	s.rest = s.daemon.figures(t)
	return s
}

func (s *siege) policies(t *testing.T, themes []theme) string {
	t.Helper()
	text := &strings.Builder{}
	text.WriteString("tenants:\n  neighbour: {weight: 1}\n")
	for _, theme := range themes {
		policy := s.outside.named(theme.policy)
		if theme.breached {
			policy = strings.Trim("image: "+breachedImage+", "+policy, ", ")
		}
		if policy != "" {
			fmt.Fprintf(text, "  %s: {%s}\n", theme.name, policy)
		}
	}
	path := filepath.Join(t.TempDir(), "tenants.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run makes one attack, with all that has to hold around it.
func (s *siege) run(t *testing.T, of theme, a attack) {
	began := time.Now()
	c, err := dial(t.Context(), s.daemon.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	since := s.neighbour.lap(t)
	other := s.beside(t, of, slices.Contains(a.beside, anything))
	defer other.close()
	sent := script{"timeout": 20_000}.with(a.script).with(script{"tenant": of.name})
	if code, ok := sent["code"].(string); ok {
		sent["code"] = s.outside.named(code) + "\n// " + s.marker
	}
	if files, ok := sent["files"].(script); ok {
		named := script{}
		for path, source := range files {
			named[path] = s.outside.named(source.(string))
		}
		sent["files"] = named
	}
	behind := func() {}
	if a.before != nil {
		if its := a.before(t, s, c, sent); its != nil {
			behind = its
		}
	}
	got := c.execute(sent)
	behind()
	if !a.allows(got.String(), s.runtime) {
		t.Errorf("%s: got %v, want %s %v\n%.2000s", a.tries, got, a.want, a.or, got.whole)
	}
	if a.after != nil {
		a.after(t, s, got)
	}
	if got := other.end(); got.String() != other.value && !slices.Contains(a.beside, got.String()) && !slices.Contains(a.beside, anything) || got.broken != nil {
		t.Errorf("the tenant's other call got %v, want %s or %v", got, other.value, a.beside)
	}
	if a.stays {
		if stopped := c.call("runtime.stop", script{"tenant": of.name}); stopped.Error != nil || stopped.broken != nil {
			t.Errorf("stop: %v", stopped)
		}
	}
	s.clean(t, c, of)
	s.neighbour.lap(t)
	s.neighbour.undisturbed(t, since)
	t.Logf("%s: %.200s (%v)", a.tries, got, time.Since(began).Round(10*time.Millisecond))
}

// clean checks that the tenant's next call works and finds nothing of those before.
func (s *siege) clean(t *testing.T, c *client, of theme) {
	t.Helper()
	const code = "[6 * 7, typeof poisoned, typeof ({}).poisoned, typeof process, JSON.stringify([1]), typeof secrets.s]"
	call := script{"code": code, "tenant": of.name, "timeout": 20_000, "secrets": script{"s": s.marker}}
	if got := c.execute(call); got.String() != `[42,"undefined","undefined","undefined","[1]","string"]` {
		t.Errorf("the tenant's next call got %v", got)
	}
}

// cleanly is clean on a connection of its own.
func (s *siege) cleanly(t *testing.T, of theme) {
	t.Helper()
	c, err := dial(t.Context(), s.daemon.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	s.clean(t, c, of)
}

// besideCall is a call of an attacked tenant that waits while the attack goes on.
type besideCall struct {
	client *client
	value  string
	finish func() // lets it end; may be called again
	answer <-chan reply
}

// beside returns when the call has begun.
func (s *siege) beside(t *testing.T, of theme, mayHang bool) besideCall {
	t.Helper()
	c, err := dial(t.Context(), s.daemon.Address)
	if err != nil {
		t.Fatal(err)
	}
	begun, finished := make(chan struct{}, 1), make(chan struct{})
	b := besideCall{client: c, value: `"own-` + s.marker + `"`, finish: sync.OnceFunc(func() { close(finished) })}
	c.offer("finish", func([]json.RawMessage) any {
		begun <- struct{}{}
		<-finished
		return "own-"
	})
	timeout := 60_000
	if mayHang { // with its container, until its time is over
		timeout = 2000
	}
	b.answer = c.start("runtime.execute", script{"code": "host.finish().then((own) => own + rest)", "globals": script{"rest": s.marker},
		"callbacks": []string{"finish"}, "tenant": of.name, "timeout": timeout, "secrets": script{"s": "what-only-the-other-call-knows"}})
	select {
	case <-begun:
	case got := <-b.answer:
		t.Errorf("the tenant's other call did not begin, but got %v", got)
	case <-time.After(patience):
		t.Error("the tenant's other call did not begin")
	}
	return b
}

func (b besideCall) close() {
	b.finish()
	b.client.close()
}

// end lets the call end and gives its reply.
func (b besideCall) end() reply {
	b.finish()
	return await(b.answer)
}

// echoes has host.echo give its argument back.
func echoes(_ *testing.T, _ *siege, c *client, _ script) func() {
	c.offer("echo", func(args []json.RawMessage) any { return args[0] })
	return nil
}
