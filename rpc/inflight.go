package rpc

import "time"

// How long a client should wait that has too many calls in flight, or that meets a daemon about to
// go. There is nothing to estimate them from: the first ends with any of its own calls.
const (
	retryFull     = 100 * time.Millisecond
	retryDraining = time.Second
)

// register takes the requests of a frame into the tables, all at once: a batch is in flight from
// its first request to its reply.
func (c *client) register(requests []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, req := range requests {
		c.requests[req] = true
		if req.id == nil || req.err != nil {
			continue
		}
		if c.ids[string(req.id)] != nil {
			req.err = invalidRequest("this id is in flight already")
			continue
		}
		c.ids[string(req.id)] = req
	}
}

// takeSlot lets a request be in flight; answering it gives the slot back.
func (c *client) takeSlot(req *request, cancel func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.draining:
		return busy("the daemon is ending", retryDraining)
	case c.inFlight >= c.server.cfg.MaxInFlight:
		return busy("too many calls in flight on the connection", retryFull)
	}
	if req.tenant != "" {
		if err := c.countLocked(req); err != nil {
			return err
		}
	}
	if req.held = req.cost(); !c.server.load.take(req.tenant, req.held) {
		req.held = 0
		c.uncountLocked(req)
		return busy("the scripts of all calls in flight take too much memory", retryFull)
	}
	c.inFlight++
	req.cancel = cancel
	return nil
}

// countLocked judges a call by what its tenant may have of this connection, and of all of them.
func (c *client) countLocked(req *request) error {
	bounded := req.most.inFlight < c.server.cfg.MaxInFlight
	if bounded && c.ofTenant[req.tenant] >= req.most.inFlight {
		return busy("too many calls of the tenant in flight on the connection", retryFull)
	}
	if err := c.server.join(c, req.tenant, req.most.connections); err != nil {
		return err
	}
	if req.counted = bounded; bounded {
		c.ofTenant[req.tenant]++
	}
	return nil
}

func (c *client) uncountLocked(req *request) {
	if !req.counted {
		return
	}
	req.counted = false
	if c.ofTenant[req.tenant]--; c.ofTenant[req.tenant] == 0 {
		delete(c.ofTenant, req.tenant)
	}
}

func (c *client) giveBackLocked(req *request) {
	if req.held > 0 {
		c.server.load.give(req.tenant, req.held)
		req.held = 0
	}
}

// detach leaves it to the caller to give back what a call in flight takes, since it outlives its request.
func (c *client) detach(req *request) (held int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, req.held = req.held, 0
	return held
}

// release frees the slot of one request, and the ids of all those that are answered with it.
func (c *client) release(req *request, answered []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if req.cancel != nil {
		req.cancel = nil
		c.inFlight--
	}
	c.giveBackLocked(req)
	c.uncountLocked(req)
	for _, r := range answered {
		if c.ids[string(r.id)] == r {
			delete(c.ids, string(r.id))
		}
	}
}

// settle writes the frame that ends a request, if any. The last one of a draining client ends it.
func (c *client) settle(frame []byte, req *request) {
	if frame != nil {
		c.wire.write(frame)
	}
	c.mu.Lock()
	c.giveBackLocked(req) // where the connection was gone, and so nothing released
	delete(c.requests, req)
	drained := c.draining && len(c.requests) == 0
	c.mu.Unlock()
	if drained {
		c.goAway()
	}
}

// cancel ends the call with this id, as it came. It tells whether there was one in flight.
func (c *client) cancel(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	req := c.ids[id]
	if req == nil || req.cancel == nil {
		return false
	}
	req.cancel()
	return true
}

// cancelAll ends all calls in flight.
func (c *client) cancelAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for req := range c.requests {
		if req.cancel != nil {
			req.cancel()
		}
	}
}

// drain lets what is in flight end, and then the connection.
func (c *client) drain() {
	c.mu.Lock()
	c.draining = true
	drained := len(c.requests) == 0
	c.mu.Unlock()
	if drained {
		c.goAway()
	}
}
