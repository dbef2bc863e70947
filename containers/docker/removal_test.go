package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/jsd-project/jsd/containers"
)

// needGate gives a driver behind a gate; the client goes past it.
func needGate(t *testing.T) (specDriver, *client.Client, *gate) {
	t.Helper()
	_, engine := needDriver(t)
	g := newGate(t, engine)
	return newDriver(t, engine, DefaultImage), engine, g
}

// freeze stops all that is in a container, so that nothing but being removed ends it.
func freeze(t *testing.T, engine *client.Client, id string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; { // on a busy machine the kernel does not always manage it in time
		_, err := engine.ContainerPause(t.Context(), id, client.ContainerPauseOptions{})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestKillGoesOnUntilTheEngineIsBack(t *testing.T) {
	d, engine, g := needGate(t)
	c, err := containers.Open(t.Context(), start(t, d), limits, d.config.Log)
	if err != nil {
		t.Fatal(err)
	}
	freeze(t, engine, c.ID())
	g.close()
	<-c.Done()
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	select {
	case err := <-closed:
		t.Errorf("closed while the engine was away: %v", err)
	case <-time.After(time.Second):
	}
	g.open()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if left := list(t, engine, d); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStopWaitingEndsWhatTheEngineHolds(t *testing.T) {
	d, engine, g := needGate(t)
	p, err := d.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := containers.Open(t.Context(), p, limits, d.config.Log)
	if err != nil {
		t.Fatal(err)
	}
	freeze(t, engine, c.ID())
	held := make(chan string, 10)
	release := make(chan struct{})
	defer close(release)
	g.passing(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not noticed
		held <- r.Method
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	var ends sync.WaitGroup
	ends.Go(func() {
		if err := c.Close(); !errors.Is(err, ErrLeft) || errors.Is(err, context.Canceled) { // which would pass for an interrupt
			t.Errorf("close: %v, want ErrLeft", err)
		}
	})
	ends.Go(func() {
		if _, err := d.Start(t.Context()); err == nil {
			t.Error("started")
		}
	})
	<-held
	<-held
	began := time.Now()
	d.StopWaiting()
	ends.Wait()
	if took := time.Since(began); took > undoTime {
		t.Errorf("took %v", took)
	}
	g.passing(nil)
	if n, err := d.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
}

func TestStartWithoutAnEngineFailsAtOnce(t *testing.T) {
	d, _, g := needGate(t)
	g.close()
	defer g.open()
	began := time.Now()
	if _, err := d.Start(t.Context()); err == nil || errors.Is(err, errGoesOn) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > undoTime {
		t.Errorf("took %v", took)
	}
}

// What the engine does of a start after its client has lost sight of it is undone all the same.
func TestStartOfUnknownOutcomeLeavesNothing(t *testing.T) {
	d, engine, g := needGate(t)
	later := func(r *http.Request, real http.Handler) {
		body, _ := io.ReadAll(r.Body)
		late := r.Clone(context.Background())
		late.Body = io.NopCloser(bytes.NewReader(body))
		go func() {
			defer func() { _ = recover() }()
			time.Sleep(2 * time.Second) // several tries to remove come before
			unanswered(late, real)
		}()
		panic(http.ErrAbortHandler)
	}
	never := func(*http.Request, http.Handler) { panic(http.ErrAbortHandler) }
	lose := make(chan func(*http.Request, http.Handler), 3)
	for _, how := range []func(*http.Request, http.Handler){unanswered, later, never} {
		lose <- how
	}
	g.passing(func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		if isCreate(r) {
			(<-lose)(r, real)
		}
		real.ServeHTTP(w, r)
	})
	var starts sync.WaitGroup
	for range cap(lose) {
		starts.Go(func() {
			if _, err := d.Start(t.Context()); err == nil {
				t.Error("started")
			}
		})
	}
	starts.Wait()
	if err := d.removals.close(); err != nil {
		t.Error(err)
	}
	if left := list(t, engine, d); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestStartsThatCannotBeUndoneAreBounded(t *testing.T) {
	d, engine, g := needGate(t)
	g.passing(func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		switch {
		case isCreate(r):
			unanswered(r, real)
		case r.Method == http.MethodDelete:
			http.Error(w, `{"message":"busy"}`, http.StatusInternalServerError)
		default:
			real.ServeHTTP(w, r)
		}
	})
	var starts sync.WaitGroup
	for range maxUndone {
		starts.Go(func() {
			if _, err := d.Start(t.Context()); !errors.Is(err, errGoesOn) {
				t.Errorf("got %v", err)
			}
		})
	}
	starts.Wait()
	if _, err := d.Start(t.Context()); !errors.Is(err, ErrUndone) {
		t.Errorf("got %v, want ErrUndone", err)
	}
	if n := len(list(t, engine, d)); n != maxUndone {
		t.Errorf("%d containers, want %d", n, maxUndone)
	}
	g.passing(nil)
	d.removals.going.Wait()
	if left := list(t, engine, d); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	p, err := d.Start(t.Context())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Error(err)
	}
}
