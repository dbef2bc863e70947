package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

const (
	startPatience = 10 * time.Minute // a daemon may have to build the runtime image first
	stopPatience  = time.Minute      // a daemon removes its containers first
)

// A server is a process that the bench has started. It prints the addresses that it listens on.
type server struct {
	name   string
	cmd    *exec.Cmd
	url    string
	admin  string        // address of the metrics of a jsd
	exited chan struct{} // closed when the process is gone
}

var (
	listens  = regexp.MustCompile(`(ws://127\.0\.0\.1:\d+).*\n`)
	observed = regexp.MustCompile(listens.String() + `(?:.*\n)*?.*(http://127\.0\.0\.1:\d+).*\n`)
)

func (s *server) process() process { return process(s.cmd.Process.Pid) }

// startServer starts a process and returns when it has printed a text that ready matches. The groups of the match are
// the addresses. The process is in a process group of its own, so that ^C stops the measuring first and the process
// after it.
func startServer(ctx context.Context, name string, cmd *exec.Cmd, ready *regexp.Regexp) (*server, error) {
	output := &output{ready: ready, addresses: make(chan []string, 1)}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s := &server{name: name, cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(s.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case found := <-output.addresses:
		if s.url = found[0]; len(found) > 1 {
			s.admin = found[1]
		}
		return s, nil
	case <-s.exited:
		return nil, fmt.Errorf("%s ended: %s", name, output.String())
	case <-ctx.Done():
		s.stop()
		return nil, fmt.Errorf("%s did not listen: %w\n%s", name, ctx.Err(), output.String())
	}
}

// stop asks the process to end, and waits until it has ended.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(stopPatience):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// An output keeps the text that a process prints until it contains the addresses, and drops the text after that. A
// daemon writes a line for each call, which would fill the memory of the bench.
type output struct {
	ready     *regexp.Regexp
	addresses chan []string

	mu    sync.Mutex // guards what follows
	text  bytes.Buffer
	found bool
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.found {
		return len(text), nil
	}
	o.text.Write(text)
	if match := o.ready.FindStringSubmatch(o.text.String()); match != nil {
		o.found = true
		o.addresses <- match[1:]
	}
	return len(text), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(bytes.TrimSpace(o.text.Bytes()))
}
