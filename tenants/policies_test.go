package tenants

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// usual is what flags might say, with something in every field.
func usual() Policy {
	return Policy{
		Container:   Container{Image: "jsd-runtime:latest", Memory: 256, Heap: 64, CPUs: 1, PIDs: 128, Tmp: 16},
		Concurrency: 8, Containers: 1, Weight: 1, Languages: []string{"javascript", "typescript"}, Reuse: ReuseTenant,
		Timeout: 3 * time.Second, MaxTimeout: time.Minute, Queue: 1000, QueueTime: 30 * time.Second,
		Result: 8 << 20, ConsoleLines: 1000, ConsoleBytes: 64 << 10, Sessions: 8, SessionIdle: 10 * time.Minute,
		Bundles: 64, Keep: 32, KeepTime: 5 * time.Minute, IdleTimeout: 5 * time.Minute, MaxAge: time.Hour,
		Connections: 10_000, InFlight: 1024, Frame: 16 << 20,
	}
}

func config(t *testing.T, content string) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	write(t, file, content)
	return Config{
		Defaults: usual(), File: file, Languages: []string{"javascript", "typescript"},
		Bounds: Bounds{"bundles": 1024, "keep": 512, "connections": 10_000, "inFlight": 1024, "frame": 16 << 20},
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, content string) *Policies {
	t.Helper()
	ps, err := New(config(t, content))
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func TestEveryKey(t *testing.T) {
	ps := open(t, `
tenants:
  acme:
    image: acme-runtime:2
    runtime: runsc
    memory: 512
    heap: 128
    cpus: 1.5
    pids: 64
    tmp: 32
    modules: [lodash, url]
    hosts: [api.example.com, "*.example.org:8443", 10.1.0.7:80, "[fd00::1]:80"]
    networks: [10.1.0.0/16, "fd00::/8"]
    concurrency: 4
    containers: 3
    weight: 5
    languages:
      - typescript
    reuse: call
    timeout: 5s
    maxTimeout: 2m
    cpuBudget: 1500ms
    queue: 10
    queueTime: "1m30s"
    rate: 0.5
    burst: 100
    result: 1000
    consoleLines: 10
    consoleBytes: 2000
    sessions: 2
    sessionIdle: 1m
    bundles: 8
    keep: 4
    keepTime: 1m
    idleTimeout: 0
    maxAge: 30m
    maxCalls: 1000
    connections: 20
    inFlight: 16
    frame: 65536
`)
	want := Policy{
		Container: Container{Image: "acme-runtime:2", Runtime: "runsc", Memory: 512, Heap: 128, CPUs: 1.5, PIDs: 64, Tmp: 32, Modules: []string{"lodash", "url"}},
		Network: Network{
			Hosts:    []string{"api.example.com", "*.example.org:8443", "10.1.0.7:80", "[fd00::1]:80"},
			Networks: []string{"10.1.0.0/16", "fd00::/8"},
			networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")},
		},
		Concurrency: 4, Containers: 3, Weight: 5, Languages: []string{"typescript"}, Reuse: ReuseCall,
		Timeout: 5 * time.Second, MaxTimeout: 2 * time.Minute, CPUBudget: 1500 * time.Millisecond,
		Queue: 10, QueueTime: 90 * time.Second, Rate: 0.5, Burst: 100,
		Result: 1000, ConsoleLines: 10, ConsoleBytes: 2000, Sessions: 2, SessionIdle: time.Minute,
		Bundles: 8, Keep: 4, KeepTime: time.Minute, MaxAge: 30 * time.Minute, MaxCalls: 1000,
		Connections: 20, InFlight: 16, Frame: 65536,
	}
	got := *ps.Of("acme")
	hosts, _ := got.Reach()
	if fmt.Sprint(hosts) != fmt.Sprint(want.Hosts) {
		t.Errorf("it reaches %v", hosts)
	}
	want.hosts = hosts
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := *ps.Of("other"); !reflect.DeepEqual(got, usual()) {
		t.Errorf("another tenant has %+v", got)
	}
	for _, row := range policyTable {
		if row.Key != "idleTimeout" && reflect.ValueOf(row.in(&want)).Elem().IsZero() {
			t.Errorf("%s is not in the file", row.Key)
		}
	}
}

func TestWhatIsNotSaidIsTheDefault(t *testing.T) {
	ps := open(t, `
tenants:
  acme: {timeout: 4s, modules: []}
  plain:
  "9": {rate: 2.5}
  bursts: {rate: 10, burst: 30}
  free: {rate: 0}
defaults:
  timeout: 2s
  maxTimeout: 10s
  rate: 50
  burst: 200
`)
	for tenant, change := range map[string]func(*Policy){
		"nobody": func(*Policy) {},
		"plain":  func(*Policy) {},
		"acme":   func(p *Policy) { p.Timeout, p.Modules = 4*time.Second, []string{} },
		"9":      func(p *Policy) { p.Rate, p.Burst = 2.5, 3 },
		"bursts": func(p *Policy) { p.Rate, p.Burst = 10, 30 },
		"free":   func(p *Policy) { p.Rate, p.Burst = 0, 0 },
	} {
		want := usual()
		want.Timeout, want.MaxTimeout, want.Rate, want.Burst = 2*time.Second, 10*time.Second, 50, 200
		change(&want)
		if got := *ps.Of(tenant); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", tenant, got, want)
		}
	}
	var order []string
	for tenant, p := range ps.All() {
		order = append(order, tenant)
		if tenant != "" && p != ps.Of(tenant) {
			t.Errorf("%s has one policy in All and another in Of", tenant)
		}
	}
	if got := strings.Join(order, " "); got != " acme plain 9 bursts free" || ps.Len() != 5 {
		t.Errorf("all are %q, %d", got, ps.Len())
	}
}

func TestWithoutAFile(t *testing.T) {
	ps, err := New(Config{Defaults: usual()})
	if err != nil {
		t.Fatal(err)
	}
	if err := ps.Reload(t.Context()); err != nil || !reflect.DeepEqual(*ps.Of("acme"), usual()) || ps.Len() != 0 {
		t.Errorf("%v, %+v", err, ps.Of("acme"))
	}
	if err := ps.Require(t.Context(), never); err != errNever {
		t.Errorf("a rule that the defaults break: %v", err)
	}
}

var errNever = errors.New("not here")

func never(context.Context, *Policy) error { return errNever }

func TestReload(t *testing.T) {
	cfg := config(t, "tenants: {acme: {timeout: 1s}, gone: {timeout: 2s}}")
	ps, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	noGPU := func(_ context.Context, p *Policy) error {
		if p.Image == "gpu" {
			return errors.New("image gpu is not here")
		}
		return nil
	}
	if err := ps.Require(t.Context(), noGPU); err != nil {
		t.Fatal(err)
	}
	want := func(when string, acme, gone time.Duration) {
		t.Helper()
		if a, g := ps.Of("acme").Timeout, ps.Of("gone").Timeout; a != acme || g != gone {
			t.Errorf("%s: %v and %v, want %v and %v", when, a, g, acme, gone)
		}
	}
	want("at first", time.Second, 2*time.Second)
	for content, text := range map[string]string{
		"tenants: {acme: {timeout: soon}}":                              ":1:18: tenant acme: timeout has to be a time",
		"tenants:\n  acme: {timeout: 5s}\n  other:\n    image: gpu\n":   ":3:3: tenant other: image gpu is not here",
		"tenants:\n  acme: {timeout: 5s}\ndefaults:\n    image: gpu\n":  ":3:1: defaults: image gpu is not here",
		"tenants:\n  acme: {timeout: 5s}\n  other: {timeout: 20h30m}\n": ":3:11: tenant other: timeout 20h30m0s is more than maxTimeout 1m0s",
	} {
		write(t, cfg.File, content)
		if err := ps.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), cfg.File+text) {
			t.Errorf("%s: got %v, want %s", content, err, text)
		}
		want("after a bad file", time.Second, 2*time.Second)
	}
	if err := os.Remove(cfg.File); err != nil {
		t.Fatal(err)
	}
	if err := ps.Reload(t.Context()); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	want("without the file", time.Second, 2*time.Second)
	write(t, cfg.File, "tenants: {acme: {timeout: 5s}}")
	if err := ps.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	want("after a good one", 5*time.Second, 3*time.Second)
}

// A call sees one policy or the other, never a mixture.
func TestReloadWhileAsked(t *testing.T) {
	cfg := config(t, "tenants: {acme: {timeout: 1s, queue: 1}}")
	ps, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop, asked := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				asked <- n
				return
			default:
				if p := ps.Of("acme"); int64(p.Timeout) != int64(p.Queue)*int64(time.Second) {
					t.Errorf("timeout %v with queue %d", p.Timeout, p.Queue)
				}
				runtime.Gosched()
			}
		}
	}()
	for i := range 50 {
		write(t, cfg.File, []string{"tenants: {acme: {timeout: 2s, queue: 2}}", "tenants: {acme: {timeout: 1s, queue: 1}}"}[i%2])
		if err := ps.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if <-asked == 0 {
		t.Error("never asked")
	}
}
