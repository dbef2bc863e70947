package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestServerAddress(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"alone on its line", "echo ws://127.0.0.1:81; exec sleep 60", "ws://127.0.0.1:81"},
		{"among words, on standard error", "echo starting; echo listening on ws://127.0.0.1:8765, driver docker >&2; exec sleep 60", "ws://127.0.0.1:8765"},
		{"written in pieces", "printf 'at ws://127.0.0.1:8'; printf '765\\n'; exec sleep 60", "ws://127.0.0.1:8765"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, err := startServer(t.Context(), "test", exec.Command("sh", "-c", c.script), listens)
			if err != nil {
				t.Fatal(err)
			}
			defer server.stop()
			if server.url != c.want {
				t.Errorf("address %q, want %q", server.url, c.want)
			}
		})
	}
}

func TestServerThatEnds(t *testing.T) {
	_, err := startServer(t.Context(), "test", exec.Command("sh", "-c", "echo no engine here >&2; exit 1"), listens)
	if err == nil || !strings.Contains(err.Error(), "no engine here") {
		t.Errorf("error %v does not say what the process said", err)
	}
}

func TestInterruptStopsServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	cmd := exec.Command("sleep", "60")
	_, err := startServer(ctx, "test", cmd, listens)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if cmd.ProcessState == nil {
		t.Error("the process was left behind")
	}
}

func TestServerWithAdminAddress(t *testing.T) {
	server, err := startServer(t.Context(), "test", exec.Command("sh", "-c",
		"echo serves ws://127.0.0.1:81 now; echo more; echo metrics on http://127.0.0.1:82; exec sleep 60"), observed)
	if err != nil {
		t.Fatal(err)
	}
	defer server.stop()
	if server.url != "ws://127.0.0.1:81" || server.admin != "http://127.0.0.1:82" {
		t.Errorf("addresses %q and %q", server.url, server.admin)
	}
}
