package rpc

// A preparedRequest request has passed all checks and has to wait for something. It is preparedRequest and run on the connection's reader,
// so in the order of the requests.
type preparedRequest interface {
	// run starts it and does not wait. Both functions of w may be called before run returns.
	run(w waiter)

	// cancel ends it soon; w is told all the same. asked tells that the client asked for it; else its connection is gone.
	// It is harmless once the request is done.
	cancel(asked bool)

	// adopt takes over the bytes that the request holds of the quota, where it outlives the request.
	adopt(held int64) bool
}

// An origin says whose a request is and what that tenant may have of connections, as far as that is known.
type origin struct {
	tenant      string // empty: nobody's
	trace       string // traceparent; empty: none
	connections int    // on which the tenant may have calls; without a tenant nothing is counted
	inFlight    int    // calls of the tenant on one connection
}

// attached is for prepared requests that end with their request.
type attached struct{}

func (attached) adopt(int64) bool { return false }
