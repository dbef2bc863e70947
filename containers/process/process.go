package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
)

const (
	// stderrTime is how long Read waits at its end for the end of the agent's standard error. Both ends come at the same
	// moment, but on different pipes.
	stderrTime = 100 * time.Millisecond
)

// A process is an agent and its workers. They are one process group, so that one signal ends them all.
//
// The kernel is not told to kill the agent when the daemon dies. The agent then sees the end of its input and ends its
// workers. A killed agent could not end them.
type process struct {
	id      string
	command *exec.Cmd
	stdin   *os.File
	stdout  *os.File
	stderr  *containers.Stderr
	silent  chan struct{} // closed at the end of standard error
	kill    func() error  // end, once
}

func startProcess(id string, command *exec.Cmd, log zerolog.Logger) (*process, error) {
	log = log.With().Str("container", id).Logger()
	p := &process{id: id, command: command, stderr: containers.NewStderr(log), silent: make(chan struct{})}
	var err error
	var theirs [3]*os.File
	defer func() {
		for _, file := range theirs {
			_ = file.Close() // nil is fine
		}
	}()
	var stderr *os.File
	for _, pipe := range []struct{ read, write **os.File }{{&theirs[0], &p.stdin}, {&p.stdout, &theirs[1]}, {&stderr, &theirs[2]}} {
		if *pipe.read, *pipe.write, err = os.Pipe(); err != nil {
			return nil, errors.Join(err, closeAll(p.stdin, p.stdout, stderr))
		}
	}
	command.Stdin, command.Stdout, command.Stderr = theirs[0], theirs[1], theirs[2]
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, errors.Join(err, closeAll(p.stdin, p.stdout, stderr))
	}
	go func() {
		defer close(p.silent)
		_, _ = io.Copy(p.stderr, stderr)
	}()
	p.kill = sync.OnceValue(func() error { return p.end(stderr) })
	log.Debug().Int("pid", command.Process.Pid).Msg("agent started")
	return p, nil
}

func closeAll(files ...*os.File) error {
	var errs []error
	for _, file := range files {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

func (p *process) ID() string                  { return p.id }
func (p *process) Kill() error                 { return p.kill() }
func (p *process) Write(b []byte) (int, error) { return p.stdin.Write(b) }

// Pipes returns the agent's standard streams for the link to use. Standard error ends when the agent and its workers end.
func (p *process) Pipes() (containers.Pipe, io.Writer, <-chan struct{}) {
	return p.stdout, p.stdin, p.silent
}

// CPU returns the processor time of the agent and its workers, including workers that have ended.
func (p *process) CPU(context.Context) (time.Duration, error) {
	return groupCPU(p.command.Process.Pid)
}

func (p *process) Read(b []byte) (int, error) {
	n, err := p.stdout.Read(b)
	if err != nil {
		select {
		case <-p.silent:
		case <-time.After(stderrTime): // the agent closed its output and did not end
		}
		err = p.stderr.End(err)
	}
	return n, err
}

// end kills the group and then waits for the agent. The number of the group cannot be used again before that wait.
func (p *process) end(stderr *os.File) error {
	group := -p.command.Process.Pid
	killErr := syscall.Kill(group, syscall.SIGKILL)
	if errors.Is(killErr, syscall.ESRCH) {
		killErr = nil
	}
	closeErr := closeAll(p.stdin, p.stdout, stderr)
	<-p.silent
	if killErr != nil {
		return errors.Join(fmt.Errorf("kill %s: %w", p.id, killErr), closeErr)
	}
	var exit *exec.ExitError
	if err := p.command.Wait(); err != nil && !errors.As(err, &exit) {
		return errors.Join(err, closeErr)
	}
	return errors.Join(waitGone(p.id, -group), closeErr)
}
