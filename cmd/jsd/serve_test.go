package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jsd-project/jsd/jsdtest"
)

func TestServeTellsItsAddresses(t *testing.T) {
	t.Parallel()
	certificate, key, _ := jsdtest.SelfSigned(t, time.Hour)
	for _, test := range []struct {
		flags []string
		want  []string
	}{
		{nil, []string{" serves ws://ADDRESS with the process driver\n", "isolates nothing", "try: curl -s http://ADDRESS/rpc"}},
		{[]string{"--secret", "s", "--tls-cert", certificate, "--tls-key", key, "--admin-listen", "127.0.0.1:0"},
			[]string{" serves wss://ADDRESS ", "metrics, status and profiles on http://127.0.0.1:", `curl -s -H "x-runtime-secret: $SECRET" https://ADDRESS/rpc`}},
		{[]string{"--jwt-key", strings.Repeat("k", 32)}, []string{`curl -s -H "Authorization: Bearer $TOKEN" http://ADDRESS/rpc`}},
	} {
		d, _ := jsdtest.StartQuiet(t, test.flags...)
		var said strings.Builder
		c := serveCommand{*d.Settings}
		c.announce(&said, d.Daemon)
		for _, want := range test.want {
			if want = strings.ReplaceAll(want, "ADDRESS", d.Address()); !strings.Contains(said.String(), want) {
				t.Errorf("%v: no %q in %s", test.flags, want, said.String())
			}
		}
	}
}

func TestHangUpReloads(t *testing.T) {
	t.Parallel()
	s := jsdtest.Serve(t, nil, "--driver", "process", "--spare", "0", "--min-containers", "0")
	s.Signal(syscall.SIGHUP)
	s.Says("there is no --tenants file")
	if got := s.Dial(t, "json-rpc").Execute(script{"code": "6 * 7"}).String(); got != "42" {
		t.Errorf("got %s", got)
	}
	if s.End(syscall.SIGTERM); s.Status() != 0 {
		t.Errorf("status %d", s.Status())
	}
}

// Some send a signal to the process and to its group: that is one end, which drains.
func TestSignalThatComesTwice(t *testing.T) {
	t.Parallel()
	s := jsdtest.Serve(t, nil, "--driver", "process", "--spare", "0", "--min-containers", "0")
	c := s.Dial(t, "json-rpc")
	begun := make(chan callback, 1)
	c.Answers(func(b callback) { begun <- b })
	_, answer := c.Start("runtime.execute", script{"code": "host.f()", "callbacks": list("f")})
	asked := c.Begins(answer, begun)
	s.Signal(syscall.SIGTERM)
	s.Says("ending: calls in flight may finish")
	s.Signal(syscall.SIGTERM)
	asked.Resolve(1)
	if got := c.Wait(answer).String(); got != "1" {
		t.Errorf("got %s", got)
	}
	if <-s.Ended; s.Status() != 0 {
		t.Errorf("status %d", s.Status())
	}
}
