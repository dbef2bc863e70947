package egress

import (
	"context"
	"net"
)

// resolver asks the servers of DNS by itself, and ends what it asks when ctx ends. The system's own goes on for
// seconds with a thread for each name, Go's with a socket, and a script can give up thousands of them a second.
func resolver(dial func(ctx context.Context, network, address string) (net.Conn, error)) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // for each question there is a context that ends behind it
		}
		return conn, err
	}}
}
