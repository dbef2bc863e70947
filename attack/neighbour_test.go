package attack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A neighbour is another tenant of the daemon, whose calls go on all the time: plain ones with a secret, calls in a
// session, and calls that call back.
type neighbour struct {
	client  *client
	session string
	once    sync.Once // for end
	stop    chan struct{}
	stopped chan struct{} // closed when run has ended
	wanted  chan struct{} // has run make its next call at once

	mu      sync.Mutex // guards what follows
	begun   int
	ended   int
	slowest time.Duration
	wrong   []wrongCall
}

// A wrongCall is one of the neighbour's that did not come to its value.
type wrongCall struct {
	number int
	what   string
}

const neighbourSecret = "what-only-the-neighbour-knows"

func newNeighbour(t *testing.T, address string) *neighbour {
	t.Helper()
	c, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbour{client: c, stop: make(chan struct{}), stopped: make(chan struct{}), wanted: make(chan struct{}, 1)}
	c.offer("twice", func(args []json.RawMessage) any {
		v, _ := strconv.Atoi(string(args[0]))
		return 2 * v
	})
	opened := c.call("runtime.open", script{"tenant": "neighbour", "code": "let sum = 0", "timeout": 20_000})
	if n.session = opened.Result.Session; n.session == "" {
		t.Fatalf("the neighbour's session: %v", opened)
	}
	go n.run()
	t.Cleanup(n.end)
	return n
}

// end makes no more calls; it may be called again.
func (n *neighbour) end() {
	n.once.Do(func() {
		close(n.stop)
		<-n.stopped
		n.client.close()
	})
}

func (n *neighbour) run() {
	defer close(n.stopped)
	sum := 0
	for number := 1; ; number++ {
		select {
		case <-n.stop:
			return
		case <-n.wanted:
		case <-time.After(50 * time.Millisecond):
		}
		n.mu.Lock()
		n.begun = number
		n.mu.Unlock()
		var call script
		var want string
		switch number % 3 {
		case 0:
			hash := sha256.Sum256(fmt.Appendf(nil, "%s%d", neighbourSecret, number))
			want = strconv.Quote(hex.EncodeToString(hash[:]))
			call = script{"code": "console.log(n); require('crypto').createHash('sha256').update(secrets.mine + n).digest('hex')",
				"globals": script{"n": number}, "secrets": script{"mine": neighbourSecret}, "tenant": "neighbour"}
		case 1:
			sum += number
			want = strconv.Itoa(sum)
			call = script{"session": n.session, "code": fmt.Sprintf("console.log(%d); sum += %[1]d", number)}
		case 2:
			want = strconv.Itoa(2*number + 1)
			call = script{"code": "console.log(n); host.twice(n).then((v) => v + 1)", "globals": script{"n": number}, "callbacks": []string{"twice"}, "tenant": "neighbour"}
		}
		began := time.Now()
		got := n.client.execute(call.with(script{"timeout": 20_000}))
		n.judge(number, got, want, time.Since(began))
	}
}

func (n *neighbour) judge(number int, got reply, want string, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = number
	n.slowest = max(n.slowest, took)
	console := got.Result.Console
	if got.String() != want || len(console) != 1 || console[0] != strconv.Itoa(number) {
		n.wrong = append(n.wrong, wrongCall{number, fmt.Sprintf("call %d got %v %q after %v, want %s", number, got, console, took, want)})
	}
}

// lap returns when a call has ended that began after now, and gives the number of one that had ended before.
func (n *neighbour) lap(t *testing.T) int {
	t.Helper()
	n.mu.Lock()
	ended, begun := n.ended, n.begun
	n.mu.Unlock()
	select {
	case n.wanted <- struct{}{}:
	default: // somebody else wants it, too
	}
	eventually(t, "a call of the neighbour's", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.ended > begun
	})
	return ended
}

// undisturbed checks the calls since a lap began.
func (n *neighbour) undisturbed(t *testing.T, since int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, wrong := range n.wrong {
		if wrong.number > since {
			t.Errorf("the neighbour: %s", wrong.what)
		}
	}
	if n.slowest > patience/2 {
		t.Errorf("the neighbour waited %v for a reply", n.slowest)
	}
}
