package daemon_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jsd-project/jsd/jsdtest"
	"github.com/jsd-project/jsd/scheduler"
	"github.com/jsd-project/jsd/tenants"
)

// Each tenant is named by the one limit it has of its own, and the test of it is, too.
const limitedTenants = `
defaults: {timeout: 20s}
tenants:
  image: {image: IMAGE}
  runtime: {runtime: io.containerd.runc.v2}
  memory: {memory: 100}
  heap: {heap: 16}
  cpus: {cpus: 0.5}
  pids: {pids: 60}
  tmp: {tmp: 5}
  modules: {modules: [path]}
  concurrency: {concurrency: 2}
  containers: {containers: 2, concurrency: 1}
  weight: {weight: 5}
  languages: {languages: [typescript]}
  reuse: {reuse: call}
  timeout: {timeout: 300ms}
  maxTimeout: {timeout: 1s, maxTimeout: 1s}
  cpuBudget: {cpuBudget: 200ms}
  queue: {queue: 1, concurrency: 1}
  queueTime: {queueTime: 200ms, concurrency: 1}
  rate: {rate: 1}
  burst: {rate: 1, burst: 3}
  result: {result: 100}
  consoleLines: {consoleLines: 2}
  consoleBytes: {consoleBytes: 10}
  sessions: {sessions: 1}
  sessionIdle: {sessions: 1, sessionIdle: 100ms}
  bundles: {bundles: 1}
  keep: {keep: 1}
  keepTime: {keepTime: 100ms}
  idleTimeout: {idleTimeout: 200ms}
  maxAge: {maxAge: 1s}
  maxCalls: {maxCalls: 3}
  connections: {connections: 1}
  inFlight: {inFlight: 1}
  frame: {frame: 2000}
  hosts: {hosts: ["localhost:9"]}
  networks: {hosts: ["localhost:9"], networks: [127.0.0.0/8, "::1/128"]}
`

var limitTests = map[string]func(*limited){
	"image": testImage, "runtime": testRuntime, "memory": testMemory, "heap": testHeap, "cpus": testCPUs, "pids": testPIDs,
	"tmp": testTmp, "modules": testModules, "concurrency": testConcurrency, "containers": testContainers, "weight": testWeight,
	"languages": testLanguages, "reuse": testReuse, "timeout": testTimeout, "maxTimeout": testMaxTimeout, "cpuBudget": testCPUBudget,
	"queue": testQueue, "queueTime": testQueueTime, "rate": testRate, "burst": testBurst, "result": testResult,
	"consoleLines": testConsoleLines, "consoleBytes": testConsoleBytes, "sessions": testSessionsOfATenant, "sessionIdle": testSessionIdle,
	"bundles": testBundles, "keep": testKeep, "keepTime": testKeepTime, "idleTimeout": testIdleTimeout, "maxAge": testMaxAge,
	"maxCalls": testMaxCalls, "connections": testConnections, "inFlight": testInFlight, "frame": testFrame,
	"hosts": testHosts, "networks": testNetworks,
}

// made are the limits that a container is made by, which plain processes have not.
var made = []string{"image", "runtime", "memory", "cpus", "pids", "tmp"}

// Each limit of a tenant holds, and the tenant beside it has none of it.
func TestLimitsOfATenantHold(t *testing.T) {
	t.Parallel()
	for _, row := range tenants.PolicyTable() {
		if limitTests[row.Key] == nil {
			t.Errorf("no test shows that %s holds", row.Key)
		}
	}
	var ofContainers, ofBoth strings.Builder
	for line := range strings.Lines(strings.Replace(limitedTenants, "IMAGE", derivedImage(t), 1)) {
		tenant, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		ofContainers.WriteString(line)
		if !slices.Contains(made, tenant) {
			ofBoth.WriteString(line)
		}
	}
	for driver, file := range map[string]string{"docker": ofContainers.String(), "process": ofBoth.String()} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			d := start(t, driver, "--max-containers", "16", "--spare", "1", "--min-containers", "0", "--tenants", tenantsFile(t, file))
			for limit, test := range limitTests {
				if slices.Contains(made, limit) == (driver == "docker") {
					t.Run(limit, func(t *testing.T) { test(&limited{client: d.Dial(t, "json-rpc"), d: d, tenant: limit}) })
				}
			}
		})
	}
}

// limited is a client that calls for the tenant with a limit, and for one beside it.
type limited struct {
	*client
	d      *jsdtest.Daemon
	tenant string
}

// beside is a tenant that has only the defaults.
const beside = "beside"

const (
	busy          = "1006 Busy"
	forbidden     = "1007 Forbidden"
	limitExceeded = "1004 Limit exceeded"
)

func (l *limited) own(code string, more ...any) reply {
	l.T.Helper()
	return l.Execute(with(script{"code": code, "tenant": l.tenant}, more...))
}

func (l *limited) others(code string, more ...any) reply {
	l.T.Helper()
	return l.Execute(with(script{"code": code, "tenant": beside}, more...))
}

// expect checks an answer, and what its error says of a key.
func (l *limited) expect(what string, got reply, want string, data ...string) {
	l.T.Helper()
	if got.String() != want || len(data) > 0 && got.Data(data[0]) != data[1] {
		l.T.Errorf("%s: got %.200v %.200s, want %s %v", what, got, dataText(got), want, data)
	}
}

// differ checks that the tenant's call comes to one answer, and the same one of another tenant to another.
func (l *limited) differ(code, own, others string, data ...string) {
	l.T.Helper()
	l.expect("the tenant", l.own(code), own, data...)
	l.expect("another one", l.others(code), others)
}

func dataText(r reply) string {
	if r.Error == nil {
		return ""
	}
	return string(r.Error.Data)
}

// retryAfter is what a call that was refused is told.
func retryAfter(r reply) time.Duration {
	var told struct{ RetryAfter int }
	_ = json.Unmarshal([]byte(dataText(r)), &told)
	return time.Duration(told.RetryAfter) * time.Millisecond
}

// inspect gives what the engine says of the tenant's container.
func (l *limited) inspect(tenant, format string) string {
	l.T.Helper()
	return inspect(l.T, format, l.Stats(script{"code": "1", "tenant": tenant}).Container)
}

func inspect(t testing.TB, format, name string) string {
	t.Helper()
	got, err := inspected(format, name)
	if err != nil {
		t.Error(err)
	}
	return got
}

func inspected(format, name string) (string, error) {
	out, err := exec.Command("docker", "inspect", "--format", format, name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("inspect %s: %w: %s", name, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// inspects compares the tenant's container and another one's.
func (l *limited) inspects(format, own, others string) {
	l.T.Helper()
	for tenant, want := range map[string]string{l.tenant: own, beside: others} {
		if got := l.inspect(tenant, format); got != want {
			l.T.Errorf("%s: %s is %s, want %s", tenant, format, got, want)
		}
	}
}

// meets starts calls that go on until what comes over the channel is resolved.
func (l *limited) meets(tenant string, n int) (answers []<-chan reply, here chan callback) {
	l.T.Helper()
	here = make(chan callback, n)
	l.Answers(func(b callback) { here <- b })
	for range n {
		_, answer := l.Start("runtime.execute", script{"code": "host.here()", "callbacks": list("here"), "tenant": tenant, "stats": true})
		answers = append(answers, answer)
	}
	return answers, here
}

// part lets all who meet go on, and gives how many calls each container had.
func (l *limited) part(answers []<-chan reply, here <-chan callback) map[string]int {
	l.T.Helper()
	ended := make(chan struct{})
	parting := make(chan struct{})
	go func() {
		defer close(parting)
		for {
			select {
			case b := <-here:
				b.Resolve(1)
			case <-ended:
				return
			}
		}
	}()
	calls := map[string]int{}
	for _, answer := range answers {
		calls[statsIn(l.T, l.Wait(answer)).Container]++
	}
	close(ended)
	<-parting
	return calls
}

// state is what the scheduler says of a tenant.
func (l *limited) state(tenant string) (state scheduler.TenantState) {
	snapshot := l.d.Scheduler().Snapshot()
	if i := slices.IndexFunc(snapshot.Tenants, func(s scheduler.TenantState) bool { return s.Name == tenant }); i >= 0 {
		state = snapshot.Tenants[i]
	}
	return state
}

// runs waits until so many calls of a tenant run, and so many wait.
func (l *limited) runs(tenant string, running, queued int) {
	l.T.Helper()
	eventually(l.T, "all calls there", func() bool {
		s := l.state(tenant)
		return s.Running+s.Queued == running+queued && (s.Containers > 0 || running == 0)
	})
	eventually(l.T, "as many running as may", func() bool { return l.state(tenant).Running >= running })
	if s := l.state(tenant); s.Running != running || s.Queued != queued {
		l.T.Errorf("%s: %d calls run and %d wait, want %d and %d", tenant, s.Running, s.Queued, running, queued)
	}
}
