package daemon_test

import (
	"fmt"
	"strings"
	"time"
)

// waits600 is a script that needs no processor for a while.
const waits600 = "new Promise(done => setTimeout(done, 600, 1))"

func testLanguages(l *limited) {
	l.differ("1", forbidden, "1", "what", "language")
	l.expect("the one it may", l.own("let x: number = 1; x", "language", "typescript"), "1")
}

func testTimeout(l *limited) { l.differ(waits600, "1002 Timeout", "1", "limit", "wall") }

func testMaxTimeout(l *limited) {
	l.expect("as much as it may", l.own("1", "timeout", 1000), "1")
	l.expect("more", l.own("1", "timeout", 1001), forbidden, "what", "timeout")
	l.expect("more, of another", l.others("1", "timeout", 1001), "1")
}

func testCPUBudget(l *limited) {
	l.expect("waiting", l.own(waits600), "1")
	l.expect("computing", l.own("for (;;);"), "1002 Timeout", "limit", "cpu")
	l.expect("another one's", l.others("for (const end = Date.now() + 1000; Date.now() < end;); 1"), "1")
}

func testQueue(l *limited) {
	l.own("1") // else both would wait for a start
	answers, here := l.meets(l.tenant, 2)
	l.runs(l.tenant, 1, 1)
	l.hasNoRoom(answers, here)
}

// hasNoRoom checks that the tenant, and it alone, gets no call more in until those that met part.
func (l *limited) hasNoRoom(answers []<-chan reply, here <-chan callback) {
	l.T.Helper()
	refused := l.own("1")
	if l.expect("one more", refused, busy); retryAfter(refused) <= 0 {
		l.T.Errorf("it says %s", dataText(refused))
	}
	l.expect("another tenant's", l.others("1"), "1")
	l.part(answers, here)
	l.expect("then", l.own("1"), "1")
}

func testQueueTime(l *limited) {
	eventually(l.T, "a container, which takes longer to start", func() bool { return l.own("1").Error == nil })
	answers, here := l.meets(l.tenant, 1)
	l.runs(l.tenant, 1, 0)
	began := time.Now()
	refused := l.own("1")
	if l.expect("behind another", refused, busy); retryAfter(refused) <= 0 || time.Since(began) < 200*time.Millisecond {
		l.T.Errorf("after %v it says %s", time.Since(began), dataText(refused))
	}
	l.part(answers, here)
}

// rates sends one call more at once than may begin, and the one that was refused again when it was told to.
func (l *limited) rates(may int) {
	l.T.Helper()
	var answers []<-chan reply
	for range may + 1 {
		_, answer := l.Start("runtime.execute", script{"code": "1", "tenant": l.tenant})
		answers = append(answers, answer)
	}
	counts, again := map[string]int{}, time.Duration(0)
	for _, answer := range answers {
		got := l.Wait(answer)
		counts[got.String()]++
		again = max(again, retryAfter(got))
	}
	if counts["1"] != may || counts[busy] != 1 || again <= 0 || again > time.Second {
		l.T.Errorf("%d calls at once: %v, again after %v", may+1, counts, again)
	}
	time.Sleep(again) // which is the promise
	l.expect("again", l.own("1"), "1")
}

func testRate(l *limited) {
	l.rates(1)
	for range 5 {
		l.expect("another one's", l.others("1"), "1")
	}
}

func testBurst(l *limited) { l.rates(3) }

func testResult(l *limited) {
	const long = `"x".repeat(200)`
	l.expect("a long one", l.own(long), limitExceeded, "limit", "result")
	l.expect("a short one", l.own(`"x".repeat(98).length`), "98")
	if got := l.others(long).String(); len(got) != 202 {
		l.T.Errorf("another tenant's: %s", got)
	}
}

const consoleFull = `"console limit reached, the rest is dropped"`

func (l *limited) prints(code, own, others string) {
	l.T.Helper()
	if got := l.own(code).Console(); got != own {
		l.T.Errorf("got %s, want %s", got, own)
	}
	if got := l.others(code).Console(); got != others {
		l.T.Errorf("another tenant got %s, want %s", got, others)
	}
}

func testConsoleLines(l *limited) {
	l.prints("console.log(1); console.log(2); console.log(3)", `["1","2",`+consoleFull+`]`, `["1","2","3"]`)
}

func testConsoleBytes(l *limited) {
	l.prints("console.log('0123456789'); console.log('a')", `["0123456789",`+consoleFull+`]`, `["0123456789","a"]`)
}

func testSessionsOfATenant(l *limited) {
	l.Open("1", "tenant", l.tenant)
	l.expect("one more", l.Call("runtime.open", script{"code": "1", "tenant": l.tenant}), limitExceeded, "limit", "sessions")
	for range 2 {
		l.Open("1", "tenant", beside)
	}
}

func testSessionIdle(l *limited) {
	first, theirs := l.Open("1", "tenant", l.tenant), l.Open("1", "tenant", beside)
	openAtLast(l.T, l.client, script{"code": "1", "tenant": l.tenant})
	l.expect("it", l.In(first, "1"), noSuch)
	l.expect("another tenant's", l.In(theirs, "1"), "1")
}

func testBundles(l *limited) {
	folder := script{"index.js": "// " + strings.Repeat("x", 1<<20)}
	l.expect("a large one", l.Call("runtime.put", script{"files": folder, "tenant": l.tenant}), limitExceeded, "limit", "bundle")
	if got := l.Call("runtime.put", script{"files": folder, "tenant": beside}); got.Error != nil {
		l.T.Errorf("another tenant's: %v", got)
	}
}

func (l *limited) attach(tenant, execution string) reply {
	l.T.Helper()
	return l.Call("runtime.attach", script{"execution": execution, "tenant": tenant})
}

func testKeep(l *limited) {
	for _, tenant := range []string{l.tenant, beside} {
		for _, execution := range []string{"first", "second"} {
			l.Execute(script{"code": `"x".repeat(700_000)`, "tenant": tenant, "execution": execution})
		}
	}
	l.expect("the first", l.attach(l.tenant, "first"), noSuch)
	for tenant, execution := range map[string]string{l.tenant: "second", beside: "first"} {
		if got := l.attach(tenant, execution).String(); len(got) != 700_002 {
			l.T.Errorf("%s of %s: %.100s", execution, tenant, got)
		}
	}
}

func testKeepTime(l *limited) {
	l.own("1", "execution", "x")
	l.others("1", "execution", "x")
	eventually(l.T, "its end", func() bool { return l.attach(l.tenant, "x").String() == noSuch })
	l.expect("another tenant's", l.attach(beside, "x"), "1")
}

func testConnections(l *limited) {
	l.expect("the first connection", l.own("1"), "1")
	another := dial(l.T, l.d.Address(), "json-rpc", nil)
	for tenant, want := range map[string]string{l.tenant: limitExceeded, beside: "1"} {
		got := another.Execute(script{"code": "1", "tenant": tenant})
		if got.String() != want || got.Error != nil && got.Data("limit") != "connections" {
			l.T.Errorf("another connection: %s got %v %s", tenant, got, dataText(got))
		}
	}
}

func testInFlight(l *limited) {
	answers, here := l.meets(l.tenant, 1)
	l.hasNoRoom(answers, here)
}

func testFrame(l *limited) {
	l.differ(fmt.Sprintf("%d // %s", 1, strings.Repeat("x", 2000)), limitExceeded, "1", "limit", "frame")
}

// connects connects to a port of localhost where nobody listens, and says what becomes of it.
func connects(port int) string {
	return fmt.Sprintf(`new Promise((ok) => require("net").connect(%d, "localhost").on("error", (e) => ok(e.message.replace("::1", "127.0.0.1"))))`, port)
}

func testHosts(l *limited) {
	l.differ(connects(10), `"connect to localhost:10 is not allowed: it is not in hosts of tenant hosts"`, "1000 Error")
	l.expect("the one it may", l.own(connects(9)), `"connect to localhost:9 is not allowed: its address 127.0.0.1 is loopback, and not in networks of tenant hosts"`)
}

func testNetworks(l *limited) {
	l.differ(connects(9), `"connect ECONNREFUSED localhost:9"`, "1000 Error")
}
