package daemon_test

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// agentMemory is the most that agents of this daemon have held, in MiB.
func agentMemory(t *testing.T) (most int) {
	t.Helper()
	processes, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip(err)
	}
	for _, p := range processes {
		status, _ := os.ReadFile("/proc/" + p.Name() + "/status")
		command, _ := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		if !strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) || !strings.Contains(string(command), "agent.js") {
			continue
		}
		if peak := regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(status); peak != nil {
			kib, _ := strconv.Atoi(string(peak[1]))
			most = max(most, kib>>10)
		}
	}
	return most
}

// 100 MiB go each way through the container that others use too: nobody holds them, and nobody waits for them.
func TestLargeTransfers(t *testing.T) { // alone: what this process takes is judged
	const size = 100 << 20
	s := newSite(t)
	d := start(t, "process", append(s.hosts(), "--max-containers", "1", "--min-containers", "1", "--spare", "0")...)
	address := d.Address()
	c, neighbour := dial(t, address, "json-rpc", nil), dial(t, address, "json-rpc", nil)
	took := func() time.Duration {
		began := time.Now()
		if got := neighbour.Execute(script{"code": "1"}).String(); got != "1" {
			t.Error(got)
		}
		return time.Since(began)
	}
	for name, code := range map[string]string{
		"down":        fmt.Sprintf(`(async () => { let n = 0; for await (const c of (await fetch(http_ + '/bytes?%d')).body) n += c.length; return n; })()`, size),
		"down by TLS": fmt.Sprintf(`new Promise((ok, no) => require('https').get(https_ + '/bytes?%d', { ca }, (r) => { let n = 0; r.on('data', (c) => { n += c.length; }).on('end', () => ok(n)); }).on('error', no))`, size),
		"up": fmt.Sprintf(`new Promise((ok, no) => { const r = require('http').request(http_ + '/count', { method: 'POST' }, (a) => { a.on('data', (n) => ok(+n)); }).on('error', no);
			const { Readable } = require('stream'); Readable.from((function* () { for (let i = 0; i < %d; i++) yield Buffer.alloc(1 << 16); })()).pipe(r); })`, size>>16),
	} {
		t.Run(name, func(t *testing.T) {
			var quiet, busy []time.Duration
			for range 20 {
				quiet = append(quiet, took())
			}
			runtime.GC()
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			agent := agentMemory(t)
			call := s.script(code)
			call["timeout"] = 60000
			_, answer := c.Start("runtime.execute", call)
			var got *reply
			peak := before.HeapInuse
			for got == nil {
				select {
				case r := <-answer:
					got = &r
				default:
					busy = append(busy, took())
					runtime.ReadMemStats(&now)
					peak = max(peak, now.HeapInuse)
				}
			}
			if got.String() != strconv.Itoa(size) {
				t.Fatalf("got %s", got)
			}
			daemonGrew, agentGrew := int(peak-before.HeapInuse)>>20, agentMemory(t)-agent
			if daemonGrew > 32 || agentGrew > 96 {
				t.Errorf("the daemon grew by %d MiB, the agent by %d", daemonGrew, agentGrew)
			}
			slices.Sort(quiet)
			slices.Sort(busy)
			before50, during50 := quiet[len(quiet)/2], busy[len(busy)/2]
			if during50 > 20*before50+20*time.Millisecond {
				t.Errorf("calls beside it took %v instead of %v", during50, before50)
			}
			t.Logf("daemon +%d MiB, agent +%d MiB, %d calls beside it, %v instead of %v, at most %v", daemonGrew, agentGrew, len(busy), during50, before50, busy[len(busy)-1])
		})
	}
}
