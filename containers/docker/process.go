package docker

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/jsd-project/jsd/containers"
)

// A process is the agent in one container.
type process struct {
	id       string
	spec     Spec
	engine   *client.Client
	removals *removals
	grace    time.Duration // of removeContainer
	conn     net.Conn      // attached; nil before attach
	stdout   demultiplexer // of conn
	pipes    *pipes        // nil: it has none
	ended    <-chan error  // from chooseLink; nil if the pipes are not the link
	source   io.Reader     // of Read; nil before the first bytes arrived
	first    []byte        // the part of the first bytes that Read has not returned yet
	spoke    atomic.Bool   // Read has returned bytes
	stderr   *containers.Stderr
	kill     func() error // remove, once
}

func (p *process) ID() string  { return p.id }
func (p *process) Kill() error { return p.kill() }

func (p *process) Write(b []byte) (int, error) {
	if p.pipes != nil && p.pipes.used.Load() {
		return p.pipes.write.Write(b)
	}
	return p.conn.Write(b)
}

// Pipes returns the container's pipes for the link to use. It returns nil if the pipes are not the link or Read has bytes
// left.
func (p *process) Pipes() (containers.Pipe, io.Writer, <-chan struct{}) {
	if p.pipes == nil || !p.pipes.used.Load() || len(p.first) > 0 {
		return nil, nil, nil
	}
	return p.pipes.read, p.pipes.write, p.pipes.ended
}

// read reads without adding the reason to an error. The first call chooses the source of later calls.
func (p *process) read(b []byte) (int, error) {
	if p.source == nil {
		p.source = &p.stdout
		if err := p.chooseSource(); err != nil {
			return 0, err
		}
	}
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	n, err := p.source.Read(b)
	if err != nil && p.ended != nil {
		err = attachedError(p.ended)
	}
	return n, err
}

func (p *process) chooseSource() error {
	if p.pipes == nil {
		return nil
	}
	first, ended := p.pipes.chooseLink(&p.stdout)
	if ended != nil && first.err == nil {
		p.source, p.ended = p.pipes.read, ended
	}
	p.first = first.bytes
	return first.err
}

func (p *process) Read(b []byte) (int, error) {
	n, err := p.read(b)
	if n > 0 {
		p.spoke.Store(true)
	}
	if err == nil {
		return n, nil
	}
	end := p.stderr.End(err)
	if end == err && !p.spoke.Load() { // and nothing on standard error
		end = fmt.Errorf("%w, before it said anything: %s", err, saidNothing)
	}
	return n, end
}

// saidNothing ends the error of an agent that wrote nothing, such as one that the kernel killed for a system call.
const saidNothing = "has its image an agent, and is all in there made for this machine and the system calls of containers?"

// ErrNoCount is in the error of CPU if the engine does not know the processor time of containers of the runtime.
var ErrNoCount = errors.New("the engine does not know")

// CPU returns the processor time that all processes of the container have used. The engine counts it, so nothing in the
// container can change it. An engine may count only once a second and answer only then.
func (p *process) CPU(ctx context.Context) (time.Duration, error) {
	stats, err := p.engine.ContainerStats(ctx, p.id, client.ContainerStatsOptions{})
	if err != nil {
		return 0, fmt.Errorf("ask for the processor time of container %s: %w", p.id, err)
	}
	defer stats.Body.Close()
	var got container.StatsResponse
	if err := json.NewDecoder(stats.Body).Decode(&got); err != nil {
		return 0, fmt.Errorf("read the processor time of container %s: %w", p.id, err)
	}
	if got.CPUStats.CPUUsage.TotalUsage == 0 { // the field is empty if the engine does not know
		return 0, fmt.Errorf("the processor time of container %s: %w", p.id, ErrNoCount)
	}
	return time.Duration(got.CPUStats.CPUUsage.TotalUsage), nil
}

// remove returns when the engine has removed the container, or after StopWaiting. A container that has written nothing yet
// is a start that failed. Its removal does not wait for an engine that does not answer.
func (p *process) remove() error {
	if p.conn != nil {
		if p.pipes != nil {
			p.pipes.close()
		}
		_ = p.conn.Close() // makes Read and Write return
		if p.pipes != nil {
			p.pipes.wait()
		}
	}
	if p.spoke.Load() {
		return p.removals.remove(p.id, 0, func(error) {})
	}
	return p.removals.undo(p.id, p.grace)
}

// A demultiplexer reads the standard output from an attached stream and writes the standard error to stderr. The stream
// consists of pieces of both outputs. Each piece has a head: stream, three zeros, length.
type demultiplexer struct {
	from   io.Reader
	stderr io.Writer
	left   uint32 // bytes of standard output still to come of the current piece
}

const (
	streamStdout = 1
	streamStderr = 2
)

var errStream = errors.New("the engine's stream is garbled")

func (d *demultiplexer) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for d.left == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n, err := d.from.Read(b[:min(len(b), int(d.left))])
	d.left -= uint32(n)
	return n, err
}

// next reads the head of a piece. It also reads the piece itself unless it is standard output.
func (d *demultiplexer) next() error {
	var head [8]byte
	if _, err := io.ReadFull(d.from, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[4:])
	switch head[0] {
	case streamStdout:
		d.left = length
		return nil
	case streamStderr:
		_, err := io.CopyN(d.stderr, d.from, int64(length))
		return err
	default:
		return fmt.Errorf("%w: stream %d", errStream, head[0])
	}
}
