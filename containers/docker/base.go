package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

const (
	// What a base made here holds.
	nodeVersion = "26.10.0"
	npmVersion  = "11.21.2"

	baseScript = "scripts/base-image"
	basePath   = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	// pullStall is how long a pull may say nothing. Without a way to the registry an engine can be
	// silent for minutes, while a base is made here in one.
	pullStall = 20 * time.Second

	// scriptEnd is how long the script may clean up after it was told to stop.
	scriptEnd = 10 * time.Second
)

var errNoDefaultBase = errors.New("has no default base: want a line ARG BASE=…")

// findBase gives the name of an image with Node that is on the engine: the Dockerfile's default base
// where it is there or can be pulled, else one that is made here.
func (b Build) findBase(ctx context.Context, engine *client.Client) (string, error) {
	base, err := defaultBase(b.Files)
	if err != nil {
		return "", err
	}
	if !b.Fresh {
		if there, err := hasImage(ctx, engine, base); there || err != nil {
			return base, err
		}
	}
	made := "jsd-base:" + nodeVersion + "-" + codename()
	if !b.Fresh {
		if there, err := hasImage(ctx, engine, made); there || err != nil {
			return made, err
		}
	}
	fmt.Fprintf(b.Progress, "pulling %s\n", base)
	pullErr := pull(ctx, engine, base, pullStall)
	if pullErr == nil {
		return base, nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	fmt.Fprintf(b.Progress, "no pull (%v); making %s from this system's packages, which takes a minute or two\n", pullErr, made)
	if err := b.makeBase(ctx, engine, made); err != nil {
		return "", fmt.Errorf("no base image: %s cannot be pulled (%w), nor one be made here (%w); name one with --base", base, pullErr, err)
	}
	return made, nil
}

// defaultBase reads the base that Dockerfile.runtime builds on unless told otherwise.
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

var errStalled = errors.New("the registry is silent")

// pull takes an image from its registry. It goes on for as long as something comes every now and then.
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

// resetting puts off a timer with each piece that it reads.
type resetting struct {
	io.Reader
	timer *time.Timer
	to    time.Duration
}

func (r resetting) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.timer.Reset(r.to)
	return n, err
}

// makeBase runs scripts/base-image and imports what it writes. The engine takes it all or nothing: a
// script that fails breaks the upload off.
func (b Build) makeBase(ctx context.Context, engine *client.Client, name string) error {
	tar, upload := io.Pipe()
	scripted := make(chan error, 1)
	go func() {
		err := b.runBaseScript(ctx, upload)
		upload.CloseWithError(err)
		scripted <- err
	}()
	repository, tag, _ := strings.Cut(name, ":")
	imported, err := engine.ImageImport(ctx, client.ImageImportSource{Source: tar, SourceName: "-"}, repository,
		client.ImageImportOptions{Tag: tag, Changes: []string{"ENV " + basePath}})
	if err == nil {
		err = follow(imported, io.Discard)
		_ = imported.Close()
	}
	_ = tar.Close() // an engine that took less than all must not leave the script writing
	if scriptErr := <-scripted; scriptErr != nil && !errors.Is(scriptErr, io.ErrClosedPipe) {
		return scriptErr
	}
	if err != nil {
		return fmt.Errorf("import it: %w", err)
	}
	return nil
}

func (b Build) runBaseScript(ctx context.Context, out io.Writer) error {
	script, err := fs.ReadFile(b.Files, baseScript)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "jsd-base-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "base-image")
	if err := os.WriteFile(file, script, 0o700); err != nil {
		return err
	}
	said := &lastLine{}
	command := exec.CommandContext(ctx, "bash", file, nodeVersion, npmVersion)
	command.Dir = dir
	command.Stdout = out
	command.Stderr = io.MultiWriter(b.Progress, said)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = scriptEnd
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", said.or(baseScript), err)
	}
	return nil
}

// lastLine keeps the last whole line written to it, which is where a script says why it gave up.
type lastLine struct{ current, last string }

func (l *lastLine) Write(b []byte) (int, error) {
	l.current += string(b)
	for {
		line, rest, found := strings.Cut(l.current, "\n")
		if !found {
			return len(b), nil
		}
		l.current = rest
		if line = strings.TrimSpace(line); line != "" {
			l.last = line
		}
	}
}

func (l *lastLine) or(otherwise string) string {
	if l.last == "" {
		return otherwise
	}
	return l.last
}

// codename names the release of the system that a base is made from.
func codename() string {
	release, err := os.Open("/etc/os-release")
	if err != nil {
		return "unknown"
	}
	defer release.Close()
	for lines := bufio.NewScanner(release); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return "unknown"
}
