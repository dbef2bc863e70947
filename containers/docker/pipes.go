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

// Named pipes lead from the daemon into a container without the engine and its shim between, which an
// attached stream passes through: a call wakes two processes less on its way in, and two on its way out. A
// container is started with both. Its agent hears hello from its standard input, and answers over the pipes
// where it can open them, else on its standard output; what it answers by is the link from then on. So the engine
// may be one that sees other files than jsd, and the image may keep the agent from them.
//
// What a container can do with them is what it can do with its standard streams: read what the daemon sends it, and
// write. It can make nothing beside them. The attached stream goes on saying when the container ends, or the engine
// does that could end it: then the link ends, too.

const (
	pipeIn, pipeOut = "/run/jsd/in", "/run/jsd/out" // where a container has them: node-agent/agent/agent.js

	pipeMode   = 0o666       // within a container there is one user; outside, the folder is the daemon's alone
	lastWords  = time.Second // for the attached stream to end behind the pipe, or the other way round
	firstChunk = 4 << 10     // hello is shorter
)

var (
	errPipe   = errors.New("the container closed its end of the link")
	errBeside = errors.New("the container prints beside the link")
)

// pipes are those of one container: their names and the daemon's ends.
type pipes struct {
	in, out string
	write   *os.File    // to the agent
	used    atomic.Bool // they are the link

	readers sync.WaitGroup // goroutines of choose
	closed  chan struct{}
	ended   chan struct{} // closed when the attached stream has ended

	mu   sync.Mutex // guards the closing of closed, and read against its being closed
	read *os.File   // written by the goroutine that reads from it
}

// makePipes makes those of a container in a folder of the daemon's.
func makePipes(folder, id string, mode os.FileMode) (_ *pipes, err error) {
	p := &pipes{in: filepath.Join(folder, id+".in"), out: filepath.Join(folder, id+".out"), closed: make(chan struct{}), ended: make(chan struct{})}
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

// makePipe opens a pipe both ways, since this end may neither wait for the other, nor take it for gone before it
// comes.
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

// choose waits for a container's first word and tells by which way it comes. The attached stream is read on
// where that is the pipe: it holds the standard error, too. ended then gives what it ends with; else it is nil.
func (p *pipes) choose(attached io.Reader) (first chunk, ended <-chan error) {
	viaPipe, viaAttached, end := make(chan chunk, 1), make(chan chunk, 1), make(chan error, 1)
	piped := make(chan bool, 1)
	begun := p.begin(func() { viaPipe <- readChunk(p.read) }, func() {
		first := readChunk(attached)
		viaAttached <- first
		if <-piped {
			end <- cmp.Or(first.err, errBeside)
			close(p.ended)
			p.closeSoon()
		}
	})
	if !begun {
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
		first.err = p.settle()
	}
	return first, end
}

// begin starts readers, for which wait waits, unless close was called.
func (p *pipes) begin(readers ...func()) bool {
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

// wait comes behind close, and behind the end of the attached stream.
func (p *pipes) wait() { p.readers.Wait() }

// settle makes the pipe the link. From here on it ends when nobody in the container has the other end any more.
func (p *pipes) settle() error {
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

// removeNames is for when the container has them, too.
func (p *pipes) removeNames() { _ = errors.Join(os.Remove(p.in), os.Remove(p.out)) }

// closeSoon is for when the attached stream has ended: the pipe has, too, unless it was the engine that did.
func (p *pipes) closeSoon() {
	select {
	case <-p.closed:
	case <-time.After(lastWords):
		p.close()
	}
}

// close frees who reads and writes.
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

// endOf is what reading ends with when the pipe has: the attached stream knows why, and has the last words.
func endOf(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(lastWords):
		return errPipe
	}
}

// A chunk is what one Read gave.
type chunk struct {
	bytes []byte
	err   error
}

func readChunk(from io.Reader) chunk {
	b := make([]byte, firstChunk)
	n, err := from.Read(b)
	return chunk{b[:n], err}
}
