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
	startPatience = 10 * time.Minute // a daemon may have to make the runtime image first
	stopPatience  = time.Minute      // it removes its containers
)

// A server is a process that was started here and prints the address it listens on.
type server struct {
	name   string
	cmd    *exec.Cmd
	url    string
	exited chan struct{} // closed when the process is gone
}

// startServer returns once the address is known. The process gets a group of its own, so that a ^C ends
// the measuring first and the process after it, in order.
func startServer(ctx context.Context, name string, cmd *exec.Cmd) (*server, error) {
	output := &output{url: make(chan string, 1)}
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
	case s.url = <-output.url:
		return s, nil
	case <-s.exited:
		return nil, fmt.Errorf("%s ended: %s", name, output.String())
	case <-ctx.Done():
		s.stop()
		return nil, fmt.Errorf("%s did not listen: %w\n%s", name, ctx.Err(), output.String())
	}
}

// stop asks the process to end and waits until it has.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(stopPatience):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

var address = regexp.MustCompile(`ws://127\.0\.0\.1:\d+`)

// An output keeps what a process printed until its address is found, which goes to url, and drops the
// rest: a log of every call is not to fill the memory of what measures them.
type output struct {
	url chan string

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
	line, _, whole := bytes.Cut(o.afterAddressLocked(), []byte("\n"))
	if whole {
		o.found = true
		o.url <- string(address.Find(line))
	}
	return len(text), nil
}

// afterAddressLocked is the text from the address on: its port is whole only once its line is.
func (o *output) afterAddressLocked() []byte {
	at := address.FindIndex(o.text.Bytes())
	if at == nil {
		return nil
	}
	return o.text.Bytes()[at[0]:]
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(bytes.TrimSpace(o.text.Bytes()))
}
