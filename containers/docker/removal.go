package docker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/rs/zerolog"
)

const (
	tryTime    = 30 * time.Second // for the engine to answer one request to remove; a tenth of a second is usual
	firstPause = 200 * time.Millisecond
	lastPause  = 2 * time.Second // so that the removal goes on soon after the engine is back

	// createGrace applies if the engine was asked to create a container and never answered. For that long it may still
	// create the container, even if it says that it knows no such container.
	createGrace = 5 * time.Second

	undoTime  = 5 * time.Second // for Start to wait for the removal after a failed start
	maxUndone = 8               // failed starts whose removal goes on; with so many of them Start fails
)

var (
	// ErrLeft is the error if a container may be left on the engine. Sweep finds it.
	ErrLeft = errors.New("not removed from the engine")

	// ErrUndone is the error of Start if the engine has not removed the containers of too many failed starts.
	ErrUndone = errors.New("the engine does not remove the containers of starts that failed")

	errGoesOn    = errors.New("that goes on")
	errSilent    = errors.New("the engine does not answer")
	errMayAppear = errors.New("the engine may be about to create it")
)

// removals removes containers, also while the engine does not answer or fails. It repeats the request until the container is
// removed or stopWaiting is called.
type removals struct {
	engine      *client.Client
	log         zerolog.Logger
	ctx         context.Context
	stopWaiting context.CancelFunc
	going       sync.WaitGroup

	mu     sync.Mutex // guards what follows
	undone int        // removals that go on after undo has returned
	errs   []error    // of such removals
}

func newRemovals(engine *client.Client, log zerolog.Logger) *removals {
	r := &removals{engine: engine, log: log}
	r.ctx, r.stopWaiting = context.WithCancel(context.Background())
	return r
}

// remove removes a container. It returns when the engine no longer knows the container, or with ErrLeft after stopWaiting.
// If the first try fails, it calls failed with the error.
func (r *removals) remove(id string, grace time.Duration, failed func(error)) error {
	log := r.log.With().Str("container", id).Logger()
	err := removeContainer(r.ctx, r.engine, id, grace, func(err error) {
		log.Warn().Err(err).Msg("container is not removed yet: trying again until it is")
		failed(err)
	})
	if err != nil {
		return fmt.Errorf("container %s: %w: %w", id, ErrLeft, err)
	}
	return nil
}

// undo removes the container of a start that failed. It returns errGoesOn if the engine does not answer or after undoTime.
// The removal then goes on, and close returns its error.
func (r *removals) undo(id string, grace time.Duration) error {
	removed, away := make(chan error, 1), make(chan struct{})
	r.going.Go(func() {
		removed <- r.remove(id, grace, func(err error) {
			if client.IsErrConnectionFailed(err) || errors.Is(err, errMayAppear) {
				close(away)
			}
		})
	})
	timer := time.NewTimer(undoTime)
	defer timer.Stop()
	select {
	case err := <-removed:
		return err
	case <-away:
	case <-timer.C:
	}
	r.mu.Lock()
	r.undone++
	r.mu.Unlock()
	r.going.Go(func() {
		err := <-removed
		r.mu.Lock()
		defer r.mu.Unlock()
		r.undone--
		if err != nil {
			r.errs = append(r.errs, err)
		}
	})
	return errGoesOn
}

// full returns an error if there are too many removals of failed starts.
func (r *removals) full() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.undone >= maxUndone {
		return fmt.Errorf("%w: %d of them", ErrUndone, r.undone)
	}
	return nil
}

// close waits for the removals that go on.
func (r *removals) close() error {
	r.going.Wait()
	r.stopWaiting()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

// removeContainer ends a container with SIGKILL and returns when the engine no longer knows it. It repeats the request until
// ctx ends, if the engine does not answer or cannot remove a file system that is in use. It calls failed with the error of
// the first try. grace is createGrace if the engine may still create the container, else 0.
func removeContainer(ctx context.Context, engine *client.Client, id string, grace time.Duration, failed func(error)) error {
	var unknown time.Time // since when the engine knows no such container
	why, pause := errSilent, firstPause
	for first := true; ; first = false {
		known, err := tryRemove(ctx, engine, id)
		if err == nil && !known && grace > 0 {
			if unknown.IsZero() {
				unknown = time.Now()
			}
			if time.Since(unknown) < grace {
				err = errMayAppear
			}
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else the error says only that ctx has ended
			why = err
			if first {
				failed(err)
			}
		}
		select {
		case <-ctx.Done():
			return why
		case <-time.After(pause - rand.N(pause/4)): // jitter, so that an engine that is back does not get all requests at once
		}
		pause = min(2*pause, lastPause)
	}
}

// tryRemove sends one request. known is false if there is no such container.
func tryRemove(ctx context.Context, engine *client.Client, id string) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	_, err = engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsConflict(err) { // it ended by itself and is being removed already
		err = waitRemoved(ctx, engine, id)
	}
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return true, err
}

func waitRemoved(ctx context.Context, engine *client.Client, id string) error {
	wait := engine.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionRemoved})
	select {
	case <-wait.Result:
		return nil
	case err := <-wait.Error:
		return err
	}
}
