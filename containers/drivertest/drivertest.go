// Package drivertest tests what every driver has to do, with the real agent. A driver's own tests call Run, and test only
// what no other driver has.
package drivertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/containers"
)

// A Driver is a driver under test, and what the suite needs to see and do from outside. What is started is killed by
// the suite; that nothing is left then, also of starts that failed, is for whoever made the Driver to look at when the
// test ends.
type Driver struct {
	// Start starts the real agent. Its process has to be a containers.Meter, too: without one, an agent that does nothing
	// is ended late.
	Start func(ctx context.Context) (containers.Process, error)

	// StartBroken starts an agent that ends at once, with LastWords on its standard error.
	StartBroken func(ctx context.Context) (containers.Process, error)
	LastWords   string

	// Stop stops an agent and its workers so that they do nothing any more, and End kills the agent as the kernel might.
	Stop, End func(t *testing.T, p containers.Process)

	// Left says what is left of a process that was killed; "" is nothing.
	Left func(t *testing.T, p containers.Process) string

	// Throttle bounds the processor time of a process; nil where that cannot be had.
	Throttle func(t *testing.T, p containers.Process, cpus float64)
}

var limits = containers.Limits{
	Concurrency: 8, Workers: 1, Heap: 64, Memory: 256,
	Result: 1 << 20, ConsoleLines: 100, ConsoleBytes: 1 << 16,
}

const patience = 30 * time.Second // of the suite, for what should take a second

// Run runs the suite. Each test has a Driver of its own.
func Run(t *testing.T, newDriver func(*testing.T) Driver) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Driver)
	}{
		{"a script runs", testScript},
		{"kill leaves nothing", testKill},
		{"kill frees a reader", testKillFreesAReader},
		{"a start that is cancelled leaves nothing", testCancelledStart},
		{"an agent that dies takes its calls along", testDeath},
		{"an agent that dies at once says why", testDeathAtOnce},
		{"a stopped agent is ended", func(t *testing.T, d Driver) { testStopped(t, d, 0) }},
		{"a stopped agent is ended under calls", func(t *testing.T, d Driver) { testStopped(t, d, 2) }},
		{"a busy agent is not ended", testBusy},
		{"processor time counts workers that are gone", testProcessorTime},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) { test.run(t, newDriver(t)) })
	}
}

func start(t *testing.T, d Driver) containers.Process {
	t.Helper()
	p, err := d.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if _, ok := p.(containers.Meter); !ok {
		t.Fatalf("%T is not a containers.Meter", p)
	}
	return p
}

func open(t *testing.T, p containers.Process, liveness containers.Liveness) *containers.Container {
	t.Helper()
	l := limits
	l.Liveness = liveness
	c, err := containers.Open(t.Context(), p, l, zerolog.New(zerolog.NewTestWriter(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAndCheck(t, c) })
	return c
}

func closeAndCheck(t *testing.T, c *containers.Container) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// An outcome is what a call came to.
type outcome struct {
	result call.Result
	err    error
}

// Execute runs a call and cancels it when ctx ends.
func Execute(ctx context.Context, c *containers.Container, job call.Call) (call.Result, error) {
	outcomes := make(chan outcome, 1)
	running := c.Start(&job, func(result call.Result, err error) { outcomes <- outcome{result, err} })
	defer context.AfterFunc(ctx, running.Cancel)()
	o := <-outcomes
	return o.result, o.err
}

// begin starts a call. Its outcome comes over the channel.
func begin(c *containers.Container, job call.Call) <-chan outcome {
	outcomes := make(chan outcome, 1)
	c.Start(&job, func(result call.Result, err error) { outcomes <- outcome{result, err} })
	return outcomes
}

func simple(code string) call.Call {
	return call.Call{Script: fmt.Appendf(nil, `{"code":%q}`, code), Timeout: time.Minute, CPU: time.Minute}
}

// beginEndless starts calls that compute until they are stopped, and returns when each has begun.
func beginEndless(c *containers.Container, n int, timeout time.Duration) []<-chan outcome {
	begun := make(lines, n)
	job := call.Call{Script: []byte(`{"code":"console.log(1); for (;;);"}`), Timeout: timeout, CPU: time.Hour, Stream: true, Client: begun}
	calls := make([]<-chan outcome, n)
	for i := range calls {
		calls[i] = begin(c, job)
	}
	for range calls {
		<-begun
	}
	return calls
}

// lines takes what scripts print.
type lines chan string

func (l lines) Print(_, text string) { l <- text }

func (l lines) Callback(context.Context, string, json.RawMessage) (json.RawMessage, error) {
	return nil, errors.New("none")
}

func waitDone(t *testing.T, c *containers.Container) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the container goes on")
	}
}

// checkLost wants calls to be lost after they had begun, by a cause if that is not nil.
func checkLost(t *testing.T, calls []<-chan outcome, cause error) {
	t.Helper()
	for i, each := range calls {
		var lost *call.LostError
		if o := <-each; !errors.As(o.err, &lost) || !lost.Started || cause != nil && !errors.Is(o.err, cause) {
			t.Errorf("call %d got %v", i, o.err)
		}
	}
}

func checkGone(t *testing.T, d Driver, p containers.Process) {
	t.Helper()
	if left := d.Left(t, p); left != "" {
		t.Errorf("left: %s", left)
	}
}

func testScript(t *testing.T, d Driver) {
	c := open(t, start(t, d), containers.Liveness{})
	large := strings.Repeat("é", 400_000) // many pieces of a multiplexed stream, many times what a pipe holds
	job := call.Call{
		Script:  fmt.Appendf(nil, `{"code":"console.log('hi'); function f(x) { return x }","call":"f","args":["%s"]}`, large),
		Timeout: time.Minute, CPU: time.Minute,
	}
	o := <-begin(c, job)
	if o.err != nil || string(o.result.Value) != `"`+large+`"` || len(o.result.Console) != 1 || o.result.Console[0] != "hi" {
		t.Errorf("got %d bytes, console %q, %v", len(o.result.Value), o.result.Console, o.err)
	}
}

func testKill(t *testing.T, d Driver) {
	p := start(t, d)
	var kills sync.WaitGroup
	for range 3 {
		kills.Go(func() {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
			checkGone(t, d, p)
		})
	}
	kills.Wait()
	if n, err := p.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes", n)
	}
	if _, err := p.Write([]byte("x")); err == nil {
		t.Error("wrote")
	}
}

// An agent may be ended before it has said anything.
func testKillFreesAReader(t *testing.T, d Driver) {
	p := start(t, d)
	read := make(chan error)
	go func() {
		_, err := p.Read(make([]byte, 1))
		read <- err
	}()
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if err := <-read; err == nil {
		t.Error("something was read")
	}
}

func testCancelledStart(t *testing.T, d Driver) {
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			p, err := d.Start(ctx)
			if err == nil {
				if after == 0 {
					t.Error("started, though the context had ended")
				}
				err = p.Kill() // it was faster
			} else if errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A worker is at an endless script when the agent dies: nothing may be left of either.
func testDeath(t *testing.T, d Driver) {
	p := start(t, d)
	c := open(t, p, containers.Liveness{})
	calls := beginEndless(c, 1, time.Hour)
	d.End(t, p)
	waitDone(t, c)
	checkLost(t, calls, nil)
	closeAndCheck(t, c)
	checkGone(t, d, p)
}

func testDeathAtOnce(t *testing.T, d Driver) {
	p, err := d.StartBroken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := containers.Open(t.Context(), p, limits, zerolog.Nop())
	if err == nil {
		closeAndCheck(t, c)
	}
	if err == nil || !strings.Contains(err.Error(), d.LastWords) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func testStopped(t *testing.T, d Driver, n int) {
	p := start(t, d)
	c := open(t, p, containers.Liveness{
		Interval: 100 * time.Millisecond, Patience: 100 * time.Millisecond, Window: 500 * time.Millisecond, Silence: time.Hour,
	})
	calls := beginEndless(c, n, time.Hour)
	d.Stop(t, p)
	waitDone(t, c)
	checkLost(t, calls, containers.ErrSilent)
	var lost *call.LostError
	if o := <-begin(c, simple("1")); !errors.As(o.err, &lost) || lost.Started || !errors.Is(o.err, containers.ErrSilent) {
		t.Errorf("a later call got %v", o.err)
	}
	closeAndCheck(t, c)
	checkGone(t, d, p)
}

// Beside endless loops an agent with little processor time says nothing for many intervals.
func testBusy(t *testing.T, d Driver) {
	p := start(t, d)
	spy := &meterSpy{Process: p, meter: p.(containers.Meter)}
	c := open(t, spy, containers.Liveness{
		Interval: 10 * time.Millisecond, Patience: 10 * time.Millisecond, Window: 110 * time.Millisecond, Silence: time.Minute,
	})
	calls := beginEndless(c, 6, 5*time.Second)
	if d.Throttle != nil {
		d.Throttle(t, p, 0.05)
	}
	before := spy.looks.Load()
	for _, each := range calls {
		var failure *call.Failure
		if o := <-each; !errors.As(o.err, &failure) || failure.Code != call.Timeout {
			t.Errorf("got %v", o.err)
		}
	}
	if d.Throttle != nil {
		if spy.looks.Load() == before {
			t.Error("the agent always answered at once: nothing was tested")
		}
		d.Throttle(t, p, 1)
	}
	if o := <-begin(c, simple("1")); o.err != nil {
		t.Error(o.err)
	}
}

// meterSpy counts how often it is asked.
type meterSpy struct {
	containers.Process
	meter containers.Meter
	looks atomic.Int64
}

func (s *meterSpy) CPU(ctx context.Context) (time.Duration, error) {
	s.looks.Add(1)
	return s.meter.CPU(ctx)
}

// The worker that overran is gone afterwards, but what it used is not.
func testProcessorTime(t *testing.T, d Driver) {
	p := start(t, d)
	c := open(t, p, containers.Liveness{})
	used := func() time.Duration {
		t.Helper()
		cpu, err := p.(containers.Meter).CPU(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return cpu
	}
	before := used()
	job := simple("for (;;);")
	job.CPU = 300 * time.Millisecond
	var failure *call.Failure
	if o := <-begin(c, job); !errors.As(o.err, &failure) || failure.Limit != "cpu" {
		t.Fatalf("got %v", o.err)
	}
	if after := used(); before <= 0 || after < before+300*time.Millisecond || after > before+3*time.Minute {
		t.Errorf("used %v, then %v", before, after)
	}
	closeAndCheck(t, c)
	checkGone(t, d, p)
}
