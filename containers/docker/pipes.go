package docker

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/moby/moby/api/types/mount"
)

// Pipes with names lead from the daemon into a container without the engine and its shim between, which an
// attached stream passes through: four processes less to wake for a call. A container is started with
// both. Its agent hears hello from its standard input, and answers over the pipes where it can open
// them, else on its standard output; what it answers by is the link from then on. So the engine may be on
// another machine, and the runtime one that lets no pipes in.
//
// What a container can do with them is what it can with its standard streams: read what the daemon sends it, and
// send. The attached stream goes on telling when it ends, and ends with the daemon.

const (
	pipesTarget = "/run/jsd" // where a container has them
	pipeMode    = 0o666      // inside there is one user, outside the folder is the daemon's alone
)

// pipes are the daemon's ends.
type pipes struct {
	in, out string   // names
	write   *os.File // to the agent
	read    *os.File
	used    atomic.Bool // they are the link
}

// makePipes makes those of a container in a folder of the daemon's.
func makePipes(folder, id string) (_ *pipes, err error) {
	p := &pipes{in: filepath.Join(folder, id+".in"), out: filepath.Join(folder, id+".out")}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for _, end := range []struct {
		name string
		file **os.File
	}{{p.in, &p.write}, {p.out, &p.read}} {
		if err := syscall.Mkfifo(end.name, pipeMode); err != nil {
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		if err := os.Chmod(end.name, pipeMode); err != nil { // whatever the umask
			return nil, fmt.Errorf("open a pipe to the container: %w", err)
		}
		// Both ways, since neither end may wait for the other, nor take it for gone before it comes.
		file, err := os.OpenFile(end.name, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, fmt.Errorf("open a pipe: %w", err)
		}
		*end.file = file
	}
	return p, nil
}

func (p *pipes) mounts() []mount.Mount {
	if p == nil {
		return nil
	}
	return []mount.Mount{
		{Type: mount.TypeBind, Source: p.in, Target: pipesTarget + "/in"},
		{Type: mount.TypeBind, Source: p.out, Target: pipesTarget + "/out"},
	}
}

// remove takes the names away, which nobody needs any more once the container has started.
func (p *pipes) remove() {
	if p != nil {
		_ = errors.Join(os.Remove(p.in), os.Remove(p.out))
	}
}

func (p *pipes) close() {
	if p == nil {
		return
	}
	p.remove()
	for _, file := range []*os.File{p.write, p.read} {
		if file != nil {
			_ = file.Close()
		}
	}
}

// choose waits for a container's first word and tells by which way it comes. The attached stream is read on to
// its end where that is the pipes: it holds the standard error, too. ended then gives its error.
func (p *pipes) choose(attached io.Reader) (first chunk, ended <-chan error) {
	viaPipe, viaAttached, end := make(chan chunk, 1), make(chan chunk, 1), make(chan error, 1)
	piped := make(chan bool, 1)
	go func() { viaPipe <- readChunk(p.read) }()
	go func() {
		viaAttached <- readChunk(attached)
		if <-piped {
			_, err := io.Copy(io.Discard, attached) // what else is printed there
			end <- cmp.Or(err, io.EOF)
		}
	}()
	var reader *os.File
	select {
	case first = <-viaPipe:
		if first.err == nil {
			reader, first.err = os.OpenFile(p.out, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		}
	case first = <-viaAttached:
		piped <- false
		p.close()
		return first, nil
	}
	piped <- true
	p.used.Store(true)
	p.remove()
	_ = p.read.Close()
	p.read = reader // it ends when nobody in the container has the other end any more
	return first, end
}

// A chunk is what one Read gave.
type chunk struct {
	bytes []byte
	err   error
}

func readChunk(from io.Reader) chunk {
	b := make([]byte, 4<<10) // hello is shorter
	n, err := from.Read(b)
	return chunk{b[:n], err}
}
