package daemon_test

import (
	"strings"
)

// What a container is made of.

func testImage(l *limited) {
	const greets = `try { require("of-acme").greet("you") } catch { "no such package" }`
	l.differ(greets, `"hello you"`, `"no such package"`)
}

func testRuntime(l *limited) {
	l.inspects("{{.HostConfig.Runtime}}", "io.containerd.runc.v2", "runc")
}

func testMemory(l *limited) {
	l.inspects("{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}", "104857600 104857600", "268435456 268435456")
	const grows = "const a = []; for (let i = 0; i < 110; i++) a.push(Buffer.alloc(1 << 20, 1)); new Promise(done => setTimeout(done, 100, a.length))"
	l.differ(grows, limitExceeded, "110", "limit", "memory")
	l.expect("a call that asks for more", l.own("1", "memory", 101), forbidden, "what", "memory")
	l.expect("the same of another", l.others("1", "memory", 101), "1")
}

func testHeap(l *limited) {
	l.differ("const a = []; for (let i = 0; i < 60; i++) a.push(new Array(1 << 16).fill(i + 0.5)); a.length", limitExceeded, "60", "limit", "memory")
}

func testCPUs(l *limited) { l.inspects("{{.HostConfig.NanoCpus}}", "500000000", "1000000000") }

func testPIDs(l *limited) { l.inspects("{{.HostConfig.PidsLimit}}", "60", "128") }

func testTmp(l *limited) {
	for tenant, want := range map[string]string{l.tenant: "size=5m,", beside: "size=16m,"} {
		if got := l.inspect(tenant, `{{index .HostConfig.Tmpfs "/tmp"}}`); !strings.Contains(got, want) {
			l.T.Errorf("%s has %s", tenant, got)
		}
	}
}

func testModules(l *limited) {
	l.expect("one that is named", l.own(`require("path").join("a", "b")`), `"a/b"`)
	const hashes = `require("crypto").createHash("sha1").digest("hex").length`
	if got := l.own(hashes); !strings.HasPrefix(got.String(), "1000 ") {
		l.T.Errorf("one that is not: %v", got)
	}
	l.expect("the same of another", l.others(hashes), "40")
}

// How many of them there are, and for how long.

func testConcurrency(l *limited) {
	for tenant, running := range map[string]int{l.tenant: 2, beside: 5} {
		answers, here := l.meets(tenant, 5)
		l.runs(tenant, running, 5-running)
		if containers := l.part(answers, here); len(containers) != 1 {
			l.T.Errorf("%s: %d containers", tenant, len(containers))
		}
	}
}

func testContainers(l *limited) {
	answers, here := l.meets(l.tenant, 3)
	l.runs(l.tenant, 2, 1)
	if state := l.state(l.tenant); state.Containers != 2 {
		l.T.Errorf("%d containers", state.Containers)
	}
	if containers := l.part(answers, here); len(containers) != 2 {
		l.T.Errorf("calls ran in %v", containers)
	}
}

// How much weight comes to is the scheduler's to show.
func testWeight(l *limited) {
	if own, others := l.d.SchedulerPolicy(l.tenant).Weight, l.d.SchedulerPolicy(beside).Weight; own != 5 || others != 1 {
		l.T.Errorf("%d, and of another %d", own, others)
	}
	l.expect("a call", l.own("1"), "1")
}

func testReuse(l *limited) {
	own, others := script{"code": "1", "tenant": l.tenant}, script{"code": "1", "tenant": beside}
	if first, second := l.Stats(own), l.Stats(own); first.Container == second.Container || !*second.Cold {
		l.T.Error("a container was used again")
	}
	if first, second := l.Stats(others), l.Stats(others); first.Container != second.Container {
		l.T.Error("another tenant's was not")
	}
	l.expect("a session", l.Call("runtime.open", script{"code": "1", "tenant": l.tenant}), forbidden, "what", "reuse")
}

func testIdleTimeout(l *limited) {
	own, others := script{"code": "1", "tenant": l.tenant}, script{"code": "1", "tenant": beside}
	theirs := l.Stats(others).Container
	first := l.Stats(own).Container
	eventually(l.T, "its end", func() bool { return l.state(l.tenant).Containers == 0 })
	if second := l.Stats(own).Container; second == first {
		l.T.Error("it was used again")
	}
	if again := l.Stats(others).Container; again != theirs {
		l.T.Error("another tenant's ended, too")
	}
}

// A container that is too old gets no new calls, and those that it has go on.
func testMaxAge(l *limited) {
	own, others := script{"code": "1", "tenant": l.tenant}, script{"code": "1", "tenant": beside}
	theirs := l.Stats(others).Container
	answers, here := l.meets(l.tenant, 1)
	l.runs(l.tenant, 1, 0)
	first, newest := l.Stats(own).Container, "" // which may have been a spare for long, and be too old already
	eventually(l.T, "another container", func() bool {
		newest = l.Stats(own).Container
		return newest != first
	})
	if calls := l.part(answers, here); len(calls) != 1 || calls[newest] != 0 {
		l.T.Errorf("the call that went on meanwhile was in %v, the container behind that is %s", calls, newest)
	}
	if again := l.Stats(others).Container; again != theirs {
		l.T.Error("another tenant's was replaced, too")
	}
}

func testMaxCalls(l *limited) {
	answers, here := l.meets(l.tenant, 7)
	containers := l.part(answers, here)
	for container, calls := range containers {
		if calls > 3 {
			l.T.Errorf("%s had %d calls", container, calls)
		}
	}
	answers, here = l.meets(beside, 7)
	if containers := l.part(answers, here); len(containers) != 1 {
		l.T.Errorf("another tenant's ran in %v", containers)
	}
}
