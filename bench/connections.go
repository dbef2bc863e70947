package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

const (
	dialers    = 32
	otherFiles = 500 // open files of the bench, or of a daemon, besides connections
	settle     = 3 * time.Second
)

// idleConnections measures the memory of a daemon for an idle connection. Each connection has made one request, so
// that all its parts exist.
func (b *bench) idleConnections(ctx context.Context, p plan) ([]figure, error) {
	number, err := affordable(p.connections)
	if err != nil {
		return nil, err
	}
	daemon, err := b.serve(ctx, "idle", b.image, "--spare", "0", "--min-containers", "0",
		"--max-connections", fmt.Sprint(2*p.connections))
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	before, err := daemon.server.process().resident()
	if err != nil {
		return nil, err
	}
	conns, err := dialMany(ctx, daemon.server.url, number)
	defer func() {
		for _, conn := range conns {
			_ = conn.CloseNow()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	after, err := daemon.server.process().resident()
	if err != nil {
		return nil, err
	}
	return []figure{{name: fmt.Sprintf("idle connections, each of %d", number), unit: kibibytes,
		value: (after - before) / float64(number), least: atMost(24 << 10), try: atMost(12 << 10)}}, nil
}

// affordable returns number, or less if not as many files may be open. The bench and the daemon raise their soft limits
// themselves, as all programs in Go do.
func affordable(number int) (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	if limit.Max < 2*otherFiles {
		return 0, fmt.Errorf("only %d files may be open (ulimit -Hn)", limit.Max)
	}
	return int(min(uint64(number), limit.Max-otherFiles)), nil
}

// dialMany opens connections. With an error it returns those that are open.
func dialMany(ctx context.Context, url string, number int) ([]*websocket.Conn, error) {
	conns := make([]*websocket.Conn, number)
	errs := make([]error, dialers)
	var group sync.WaitGroup
	for first := range dialers {
		group.Go(func() {
			for i := first; i < number && errs[first] == nil; i += dialers {
				conns[i], errs[first] = dialOnce(ctx, url)
			}
		})
	}
	group.Wait()
	var open []*websocket.Conn
	for _, conn := range conns {
		if conn != nil {
			open = append(open, conn)
		}
	}
	return open, errors.Join(errs...)
}

func dialOnce(ctx context.Context, url string) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	if err = conn.Write(ctx, websocket.MessageText, []byte(`{"jsonrpc":"2.0","id":1,"method":"runtime.info"}`)); err == nil {
		_, _, err = conn.Read(ctx)
	}
	return conn, err
}
