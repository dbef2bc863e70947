package daemon_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/jsdtest"
)

const hostileSecret = "s3cret-of-the-daemon"

// A besieged is a daemon as a process of its own that clients attack, with another client whose calls go on
// all the while.
type besieged struct {
	*jsdtest.Process
	tls  *tls.Config // nil: without
	rest figures     // with nobody there but the neighbour
	slow int         // connections of clients that are slow all along, at most

	stop, stopped chan struct{} // of the neighbour
	mu            sync.Mutex    // guards what follows
	calls         int           // of the neighbour's, answered
	slowest       time.Duration
}

// figures are of the daemon's process; sizes in MiB.
type figures struct{ rss, peak, files, goroutines int }

func besiege(t *testing.T, overTLS bool, arguments ...string) *besieged {
	t.Helper()
	arguments = append([]string{"--driver", "process", "--admin-listen", "127.0.0.1:0", "--drain-timeout", "1s",
		"--min-containers", "1", "--spare", "1", "--max-containers", "3", "--secret", hostileSecret}, arguments...)
	var secured *tls.Config
	if overTLS {
		certificate, key, pool := jsdtest.SelfSigned(t, time.Hour)
		arguments = append(arguments, "--tls-cert", certificate, "--tls-key", key)
		secured = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	}
	b := &besieged{Process: jsdtest.ServePlain(t, arguments...), tls: secured, stop: make(chan struct{}), stopped: make(chan struct{})}
	neighbour := b.dial(t, "json-rpc")
	if got := neighbour.Execute(script{"code": "1", "tenant": "neighbour"}).String(); got != "1" {
		t.Fatalf("the neighbour's first call got %s", got)
	}
	go b.live(neighbour)
	t.Cleanup(func() {
		close(b.stop)
		<-b.stopped
	})
	b.rest = b.figures()
	return b
}

func (b *besieged) dial(t *testing.T, dialect string) *client {
	t.Helper()
	url, options := b.way()
	return jsdtest.DialURL(t, url, dialect, options)
}

// way is how a client comes to the daemon.
func (b *besieged) way() (url string, options *websocket.DialOptions) {
	options = &websocket.DialOptions{HTTPHeader: http.Header{"X-Runtime-Secret": {hostileSecret}}}
	if b.tls == nil {
		return "ws://" + b.Address, options
	}
	options.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: b.tls.Clone()}}
	return "wss://" + b.Address, options
}

// live makes the neighbour's calls, one after the other.
func (b *besieged) live(c *client) {
	defer close(b.stopped)
	for n := 0; ; n++ {
		select {
		case <-b.stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		began := time.Now()
		if got := c.Execute(script{"code": "n * 2", "globals": script{"n": n}, "tenant": "neighbour", "timeout": 20_000}).String(); got != strconv.Itoa(2*n) {
			b.T.Errorf("the neighbour's call %d got %s", n, got)
		}
		b.mu.Lock()
		b.calls++
		b.slowest = max(b.slowest, time.Since(began))
		b.mu.Unlock()
	}
}

// served is how many calls of the neighbour's were answered, and the slowest of those under attack.
func (b *besieged) served() (calls int, slowest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls, b.slowest
}

var statusLine = regexp.MustCompile(`(?m)^(VmRSS|VmHWM):\s+(\d+) kB`)

func (b *besieged) figures() (f figures) {
	b.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.Cmd.Process.Pid))
	if err != nil {
		b.T.Fatal(err)
	}
	for _, found := range statusLine.FindAllStringSubmatch(string(status), -1) {
		n, _ := strconv.Atoi(found[2])
		if found[1] == "VmRSS" {
			f.rss = n >> 10
		} else {
			f.peak = n >> 10
		}
	}
	f.files = b.Files()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}).Get("http://" + b.Admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return f // the attack is on this address
	}
	defer res.Body.Close()
	head, _ := bufio.NewReader(res.Body).ReadString('\n')
	_, _ = fmt.Sscanf(head, "goroutine profile: total %d", &f.goroutines)
	return f
}

// withstands runs an attack, which may make the daemon's memory grow by so many MiB, and waits until nothing
// of it is left.
func (b *besieged) withstands(t *testing.T, most int, attack func(t *testing.T)) {
	t.Helper()
	forgetPeak := []byte("5")
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.Cmd.Process.Pid), forgetPeak, 0); err != nil {
		t.Fatal(err)
	}
	before := b.figures()
	b.mu.Lock()
	calls := b.calls
	b.slowest = 0
	b.mu.Unlock()
	began := time.Now()
	attack(t)
	took := time.Since(began)
	eventually(t, "the neighbour is served", func() bool {
		now, _ := b.served()
		return now > calls+2
	})
	now, slowest := b.served()
	var after figures // with one container more, perhaps, which takes some files and goroutines
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		after = b.figures()
		if after.goroutines != 0 && after.files <= b.rest.files+b.slow+8 && after.goroutines <= b.rest.goroutines+2*b.slow+15 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("left behind: %+v, at rest %+v", after, b.rest)
		}
	}
	t.Logf("%v, %d MiB, then %d MiB at most; the neighbour had %d calls, the slowest %v", took.Round(time.Millisecond), before.rss, after.peak, now-calls, slowest)
	if after.peak > before.rss+most || after.peak > b.rest.rss+max(most, growth+little) {
		t.Errorf("memory grew from %d MiB, %d at rest, to %d, may grow by %d", before.rss, b.rest.rss, after.peak, most)
	}
}

// many runs f n times, k at once.
func many(n, k int, f func(i int)) {
	var all sync.WaitGroup
	for worker := range k {
		all.Go(func() {
			for i := worker; i < n; i += k {
				f(i)
			}
		})
	}
	all.Wait()
}

func request(id int, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"runtime.execute","params":%s}`, id, params)
}

func repeated(s string, n int) string { return strings.Repeat(s, n) }
