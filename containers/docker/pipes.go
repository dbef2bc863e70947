package docker

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/mount"
)

// Named pipes connect the daemon with a container. An attached stream passes through the engine and its shim, and pipes do
// not. So a call wakes two processes less on its way in, and two less on its way out.
//
// A container is started with an attached stream and with pipes. The agent reads hello from its standard input. It answers
// over the pipes if it can open them, else on its standard output. The daemon then uses the way of the answer as the link.
// So pipes do no harm if the engine sees other files than jsd, or if the agent cannot open them in the image.
//
// A container can do with pipes what it can do with its standard streams: read what the daemon sends, and write. It cannot
// create files beside them. The attached stream still ends when the container or the engine ends. Without the engine jsd
// could not end the container, so the link then ends, too.

const (
	pipeIn, pipeOut = "/run/jsd/in", "/run/jsd/out" // where a container has them: node-agent/agent/agent.js

	pipeMode   = 0o666       // a container has one user; on the host, only the daemon's user can access the directory
	endTime    = time.Second // most time between the end of the attached stream and the end of the pipe, in any order
	firstChunk = 4 << 10     // bytes; hello is shorter
)

var (
	errPipe   = errors.New("the container closed its end of the link")
	errBeside = errors.New("the container prints beside the link")
)

// pipes are the two pipes of one container: their names and the daemon's ends.
type pipes struct {
	in, out string      // paths
	write   *os.File    // to the agent
	used    atomic.Bool // the pipes are the link

	readers sync.WaitGroup // goroutines of chooseLink
	closed  chan struct{}  // closed by close
	ended   chan struct{}  // closed when the attached stream has ended

	mu   sync.Mutex // guards the closing of closed, and read against its being closed
	read *os.File   // written by the goroutine that reads from it
}

// makePipes makes the pipes of a container in the daemon's directory.
func makePipes(directory, id string, mode os.FileMode) (_ *pipes, err error) {
	p := &pipes{in: filepath.Join(directory, id+".in"), out: filepath.Join(directory, id+".out"), closed: make(chan struct{}), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.write, err = makePipe(p.in, mode); err != nil {
		return nil, err
	}
	if p.read, err = makePipe(p.out, mode); err != nil {
		return nil, err
	}
	return p, nil
}

// makePipe makes a pipe and opens it for reading and writing. So the open does not wait for the container, and a read does
// not see an end of the pipe before the container has opened it.
func makePipe(name string, mode os.FileMode) (*os.File, error) {
	if err := syscall.Mkfifo(name, uint32(mode)); err != nil {
		return nil, fmt.Errorf("make the pipe %s: %w", name, err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask
		return nil, err
	}
	return os.OpenFile(name, os.O_RDWR|syscall.O_NONBLOCK, 0)
}

func (p *pipes) mounts() []mount.Mount {
	return []mount.Mount{
		{Type: mount.TypeBind, Source: p.in, Target: pipeIn},
		{Type: mount.TypeBind, Source: p.out, Target: pipeOut},
	}
}

// chooseLink waits for the first bytes of a container and returns them. If they came from the attached stream, it closes the
// pipes and ended is nil. If they came from the pipe, it goes on reading the attached stream, which also carries the
// standard error. ended then returns the error at the end of the attached stream.
func (p *pipes) chooseLink(attached io.Reader) (first chunk, ended <-chan error) {
	viaPipe, viaAttached, end := make(chan chunk, 1), make(chan chunk, 1), make(chan error, 1)
	piped := make(chan bool, 1)
	started := p.startReaders(func() { viaPipe <- readChunk(p.read) }, func() {
		first := readChunk(attached)
		viaAttached <- first
		if <-piped {
			end <- cmp.Or(first.err, errBeside)
			close(p.ended)
			p.closeSoon()
		}
	})
	if !started {
		return chunk{err: errPipe}, nil
	}
	select {
	case first = <-viaAttached:
		piped <- false
		p.close()
		return first, nil
	case first = <-viaPipe:
		piped <- true
	}
	if first.err == nil {
		first.err = p.adopt()
	}
	return first, end
}

// startReaders starts goroutines, which wait waits for. It returns false after close.
func (p *pipes) startReaders(readers ...func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return false
	default:
	}
	for _, read := range readers {
		p.readers.Go(read)
	}
	return true
}

// wait waits for the readers. It is called after close, and after the attached stream was closed.
func (p *pipes) wait() { p.readers.Wait() }

// adopt makes the pipes the link. It opens the pipe for reading only, so that reads end when the container has closed the
// other end.
func (p *pipes) adopt() error {
	read, err := os.OpenFile(p.out, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return errors.Join(errPipe, read.Close())
	default:
	}
	_ = p.read.Close()
	p.read = read
	p.removeNames()
	p.used.Store(true)
	return nil
}

// removeNames removes the paths. The container has the pipes by names of its own.
func (p *pipes) removeNames() { _ = errors.Join(os.Remove(p.in), os.Remove(p.out)) }

// closeSoon is called when the attached stream has ended. The pipe has ended, too, unless the engine ended and the container
// did not. So closeSoon closes the pipes after endTime.
func (p *pipes) closeSoon() {
	select {
	case <-p.closed:
	case <-time.After(endTime):
		p.close()
	}
}

// close closes the pipes and makes their reads and writes return.
func (p *pipes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return
	default:
		close(p.closed)
	}
	p.removeNames()
	for _, file := range []*os.File{p.write, p.read} {
		if file != nil {
			_ = file.Close()
		}
	}
}

// attachedError returns the error at the end of the attached stream, which says more than the end of the pipe.
func attachedError(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(endTime):
		return errPipe
	}
}

// A chunk is what one Read returned.
type chunk struct {
	bytes []byte
	err   error
}

func readChunk(from io.Reader) chunk {
	b := make([]byte, firstChunk)
	n, err := from.Read(b)
	return chunk{b[:n], err}
}
