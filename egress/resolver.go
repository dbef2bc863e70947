package egress

import (
	"context"
	"net"
)

// resolver returns a resolver that asks the DNS servers itself and closes its sockets when ctx ends. The resolver of
// the system would go on for seconds with a thread for each name, and Go's with a socket. A script can start and
// abandon thousands of lookups a second.
func resolver(dial func(ctx context.Context, network, address string) (net.Conn, error)) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // each lookup has a context of its own, which ends with it
		}
		return conn, err
	}}
}
