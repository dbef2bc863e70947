package jsdtest

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/containers/process"
	"github.com/jsd-project/jsd/daemon"
)

// A Daemon serves in this process.
type Daemon struct {
	*daemon.Daemon
	Settings *daemon.Settings
}

// Settings are those of jsd serve with these flags, on a machine whose environment says nothing.
func Settings(t testing.TB, flags ...string) (*daemon.Settings, error) {
	t.Helper()
	var s daemon.Settings
	parser, err := kong.New(&s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(flags); err != nil {
		return nil, err
	}
	return &s, s.Resolve(func(string) string { return "" })
}

// Start serves with a driver on a free port until the test ends, and checks what is left then. Warnings go to
// the test's log. Unless flags say so, it has no containers but
// those that calls need, and calls have 20 s.
func Start(t testing.TB, driver string, flags ...string) *Daemon {
	t.Helper()
	return StartLogged(t, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel), driver, flags...)
}

// StartQuiet serves with plain processes, and with a log that has all there is to say.
func StartQuiet(t testing.TB, flags ...string) (*Daemon, *Journal) {
	t.Helper()
	log := &Journal{}
	return StartLogged(t, zerolog.New(log).Level(zerolog.DebugLevel), "process", flags...), log
}

// StartLogged is Start with a log of the test's own.
func StartLogged(t testing.TB, log zerolog.Logger, driver string, flags ...string) *Daemon {
	t.Helper()
	return StartChanged(t, log, nil, driver, flags...)
}

// StartChanged is StartLogged with a daemon that change may do something with before it is opened; change may be
// nil.
func StartChanged(t testing.TB, log zerolog.Logger, change func(*Daemon), driver string, flags ...string) *Daemon {
	t.Helper()
	s, err := Settings(t, append([]string{"--listen", "127.0.0.1:0", "--driver", driver, "--drain-timeout", "1s", "--spare", "0", "--min-containers", "0", "--timeout", "20s"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{daemon.New(s, daemon.Options{Version: "test", Log: log}), s}
	if change != nil {
		change(d)
	}
	err = d.Open(t.Context())
	SkipMissing(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error("close:", err)
		}
		if d.Driver() == "docker" {
			out, err := exec.Command("docker", "ps", "-aq", "--filter", "label="+docker.InstanceLabel+"="+d.Instance()).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("containers left: %s %v", out, err)
			}
		}
	})
	return d
}

// Address is where clients are served, as HOST:PORT.
func (d *Daemon) Address() string { return d.Addr().String() }

// Dial connects a client that speaks one of the dialects, json-rpc and duplex.
func (d *Daemon) Dial(t testing.TB, dialect string) *Client {
	t.Helper()
	return Dial(t, d.Address(), dialect, http.Header{})
}

// Everywhere runs a test on each driver, and in each dialect on one of them: how containers are started and how
// frames are written have nothing to do with each other. Both run at once, and beside other tests.
func Everywhere(t *testing.T, test func(*testing.T, *Client)) {
	EverywhereWith(t, nil, func(t *testing.T, dial func(*testing.T) *Client) { test(t, dial(t)) })
}

// EverywhereWith is Everywhere with flags of the test's own, and as many clients as it dials.
func EverywhereWith(t *testing.T, flags []string, test func(t *testing.T, dial func(*testing.T) *Client)) {
	t.Parallel()
	everywhere(t, (*testing.T).Parallel, flags, test)
}

// EverywhereAlone is Everywhere for a test that judges how long something takes: nothing of this package runs
// beside it.
func EverywhereAlone(t *testing.T, test func(*testing.T, *Client)) {
	everywhere(t, func(*testing.T) {}, nil, func(t *testing.T, dial func(*testing.T) *Client) { test(t, dial(t)) })
}

func everywhere(t *testing.T, begin func(*testing.T), flags []string, test func(t *testing.T, dial func(*testing.T) *Client)) {
	for _, at := range []struct{ driver, dialect string }{{"docker", "json-rpc"}, {"process", "duplex"}} {
		t.Run(at.driver+" "+at.dialect, func(t *testing.T) {
			begin(t)
			d := Start(t, at.driver, flags...)
			test(t, func(t *testing.T) *Client { return d.Dial(t, at.dialect) })
		})
	}
}

// SkipMissing skips the test where an error says that an engine or a Node is missing on this machine, and need
// not be there.
func SkipMissing(t testing.TB, err error) {
	t.Helper()
	for _, missing := range []error{docker.ErrNoEngine, process.ErrNoNode, process.ErrOldNode} {
		if errors.Is(err, missing) {
			Missing(t, err)
		}
	}
}

// Missing skips the test for what is missing on this machine, or fails it where nothing may be.
func Missing(t testing.TB, what any) {
	t.Helper()
	if os.Getenv("JSD_TEST_REQUIRE") == "all" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// NeedDriver skips the test where a driver has nothing to run containers with.
func NeedDriver(t testing.TB, driver string) {
	t.Helper()
	if driver == "docker" {
		NeedImage(t)
		return
	}
	_, _, err := process.FindNode(cmp.Or(os.Getenv("JSD_NODE"), "node"))
	SkipMissing(t, err)
	if err != nil {
		t.Fatal(err)
	}
}

// NeedImage has the engine hold the runtime image with the agent of these sources.
func NeedImage(t testing.TB) {
	t.Helper()
	_, err := docker.EnsureImage(t.Context(), docker.Build{Files: jsd.Runtime, Progress: t.Output()})
	SkipMissing(t, err)
	if err != nil {
		t.Fatal(err)
	}
}

// Try gives why no daemon can be started with these flags; nil where one was, which has been closed again.
func Try(t testing.TB, flags ...string) error {
	t.Helper()
	s, err := Settings(t, append([]string{"--listen", "127.0.0.1:0"}, flags...)...)
	if err != nil {
		return err
	}
	d := daemon.New(s, daemon.Options{Version: "test", Log: zerolog.Nop()})
	if err := d.Open(t.Context()); err != nil {
		return err
	}
	return d.Close()
}
