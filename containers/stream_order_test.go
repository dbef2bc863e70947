package containers

import (
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// What a server says at once could go out before the word that its stream is open: the writer took the words that
// waited, and behind them data that had come later than these.
func TestOpenedComesBeforeData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		var servers sync.WaitGroup
		servers.Go(func() { network.serve("hello") })
		c, _ := open(t, streamLimits, func(p *peer) {
			id, _, _ := p.nextCall()
			p.open(id, 1)
			synctest.Wait() // the writer waits for this side to read
			p.open(id, 2)
			synctest.Wait()
			opened := map[uint32]bool{}
			for range 4 {
				f, _ := p.next()
				var h openedHeader
				if f.kind == kindOpened && json.Unmarshal(f.header, &h) == nil {
					opened[h.Stream] = true
				} else if number, _, err := cutData(f); f.kind != kindData || err != nil || !opened[number] {
					t.Errorf("got kind %d of stream %d", f.kind, number)
				}
			}
			p.result(id, "1")
			p.next()
		})
		if _, err := c.Execute(t.Context(), call.Call{Timeout: time.Minute, Network: network}); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		close(network.dialed)
		servers.Wait()
	})
}
