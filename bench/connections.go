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
	otherFiles = 500 // that the bench, or a daemon, has open beside connections
	settle     = 3 * time.Second
)

// idleConnections says what a connection costs a daemon that has nothing else to do. Each has asked something
// once, so that it is all there.
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

// affordable is number, or as many as there may be files open. Both the bench and the daemon raise what they may
// have by themselves, as all programs in Go do.
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

// dialMany gives the connections that there are also with an error.
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
