package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
)

const dockerfile = "Dockerfile.runtime"

// localBase is the name of a base image that was made on this machine. Its tag is the major version of Node.
const localBase = "jsd-base"

// pullStall is how long a pull may be silent. Without a route to the registry, an engine can be silent for minutes.
const pullStall = 20 * time.Second

var (
	// ErrNoBase means that a runtime image cannot be built, because there is no image to build it on.
	ErrNoBase = errors.New("no image to build the runtime image on")

	errNoDefaultBase = errors.New("has no default base: want a line ARG BASE=NAME:TAG")
	errStalled       = errors.New("the registry is silent")
)

// defaultBase returns the base image that Dockerfile.runtime names as its default.
func defaultBase(files fs.FS) (string, error) {
	text, err := fs.ReadFile(files, dockerfile)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if base, ok := strings.CutPrefix(strings.TrimSpace(line), "ARG BASE="); ok {
			return base, nil
		}
	}
	return "", fmt.Errorf("%s %w", dockerfile, errNoDefaultBase)
}

// localName returns the name of the base image that scripts/base-image makes in place of a default base: jsd-base:26 for
// node:26-bookworm-slim.
func localName(base string) string {
	tag := base[strings.LastIndexByte(base, ':')+1:]
	major, _, _ := strings.Cut(tag, "-")
	return localBase + ":" + major
}

// firstImage returns the first of these names that is an image on the engine, empty if none is.
func firstImage(ctx context.Context, engine *client.Client, names ...string) (string, error) {
	for _, name := range names {
		if has, err := hasImage(ctx, engine, name); err != nil {
			return "", err
		} else if has {
			return name, nil
		}
	}
	return "", nil
}

func hasImage(ctx context.Context, engine *client.Client, name string) (bool, error) {
	_, err := engine.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at image %s: %w", name, err)
	}
	return true, nil
}

// pull makes the engine fetch an image from its registry. It gives up if the engine reports nothing for the duration stall.
func pull(ctx context.Context, engine *client.Client, name string, stall time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer silence.Stop()
	pulled, err := engine.ImagePull(ctx, name, client.ImagePullOptions{})
	if err == nil {
		defer pulled.Close()
		err = follow(resetting{pulled, silence, stall}, io.Discard)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// resetting is a Reader that restarts a timer with each read.
type resetting struct {
	io.Reader
	timer *time.Timer
	after time.Duration
}

func (r resetting) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.timer.Reset(r.after)
	return n, err
}

// follow reads the engine's report of a build or a pull to its end. An engine answers 200 before it begins, so an error is
// in the report.
func follow(report io.Reader, progress io.Writer) error {
	messages := json.NewDecoder(report)
	for {
		var m jsonstream.Message
		if err := messages.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the engine's report: %w", err)
		}
		if m.Error != nil {
			return errors.New(strings.TrimSpace(m.Error.Message))
		}
		if m.Stream != "" {
			fmt.Fprint(progress, m.Stream)
		}
	}
}
