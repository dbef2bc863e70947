package rpc

// A preparedRequest has passed all checks and has to wait for something. It is prepared and run on the connection's reader, so
// requests run in the order in which they came.
type preparedRequest interface {
	// run starts it and does not wait. Both functions of w may be called before run returns.
	run(w waiter)

	// cancel ends the request soon; the functions of w are called all the same. asked says that the client asked for it; otherwise
	// the connection has closed. cancel does nothing when the request is done.
	cancel(asked bool)

	// adopt takes over the bytes of the quota that were acquired for the request, and releases them later. It returns false,
	// and takes nothing, if the reply to the request releases them.
	adopt(held int64) bool
}

// An origin is what is known about where a request comes from: its tenant, its trace, and the bounds of the tenant's connections.
type origin struct {
	tenant      string // empty: none, and nothing is counted
	trace       string // traceparent; empty: none
	connections int    // on how many connections the tenant may make calls
	inFlight    int    // how many calls the tenant may have in flight on one connection
}

// attached is embedded in prepared requests that end with the reply.
type attached struct{}

func (attached) adopt(int64) bool { return false }
