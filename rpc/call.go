package rpc

import (
	"encoding/json"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// A preparedCall is a call of runtime.execute or runtime.open that has passed all checks.
//
//	prepareExecute, prepareOpen ──► run ─┬─ the name is known ──► executions.wait
//	                                     └─ start ──► session.start or Runner ──► completed ──► complete ─┬─► answers
//	                                                                                                     └─► report
type preparedCall struct {
	service *service
	peer    *peer
	req     *message.Request
	method  string
	origin  origin

	name    string // the client's; empty: one is made
	retain  bool   // its outcome is retained
	detach  bool   // it outlives its connection
	secrets []string
	session *session // in which it runs; nil: none
	job     call.Call

	// start starts the call. The call ends in completed or opened. start is startAlone, startInSession or startOpening.
	start func(*preparedCall) call.Running

	policy    Policy
	held      int64           // bytes of the quota, if it adopted them
	execution *execution      // its own, or the one that has its name
	own       bool            // execution is its own
	waiter    *waiter         // for the outcome of execution
	redact    func() redactor // made on first use: it may take long
	began     time.Time
	turn      time.Duration // how long it waited for its turn in the session
}

func (c *preparedCall) adopt(held int64) bool {
	if c.detach {
		c.held = held
	}
	return c.detach
}

// run starts the call, or waits for the outcome of the execution that has its name.
func (c *preparedCall) run(w waiter) {
	c.waiter = &w
	c.execution, c.own = c.service.executions.claim(c.origin.tenant, c.name, c.retain, c.waiter)
	if !c.own {
		c.release()
		c.service.executions.wait(c.execution, c.waiter)
		return
	}
	c.redact = redactNothing
	if len(c.secrets) > 0 {
		c.redact = sync.OnceValue(func() redactor { return newRedactor(c.secrets) })
	}
	c.job.Execution = c.execution.name.id
	if c.job.Stream || len(c.job.Callbacks) > 0 {
		c.job.Client = &callbacks{
			peer: c.peer, about: message.Outgoing{Request: c.req, Execution: c.execution.name.id}, session: c.session, redact: c.redact,
		}
	}
	if c.detach {
		c.service.lifetime.add()
	}
	c.began = time.Now()
	c.execution.running.set(c.start(c))
}

// cancel cancels the execution if the client asked for it. If the connection has closed, cancel ends only the wait of a detached
// call, and of a call that waits for another's outcome.
func (c *preparedCall) cancel(asked bool) {
	if c.execution == nil {
		return // the call was refused when it ran
	}
	if asked || c.own && !c.detach {
		c.execution.running.Cancel()
		return
	}
	c.service.executions.abandon(c.execution, c.waiter)
}

// release gives back the bytes of the quota that a detached call adopted.
func (c *preparedCall) release() {
	if c.held > 0 {
		c.service.quota.release(c.origin.tenant, c.held)
		c.held = 0
	}
}

// startAlone runs the call in a container of its tenant.
func startAlone(c *preparedCall) call.Running {
	return c.service.cfg.Runner.Start(c.origin.tenant, &c.job, c.completed)
}

// startInSession runs the call in its session, when its turn has come.
func startInSession(c *preparedCall) call.Running {
	return c.session.start(&c.job, c.detach, func(res call.Result, waited time.Duration, err error) {
		c.turn = waited
		c.completed(res, err)
	})
}

// completed takes the outcome of a script.
func (c *preparedCall) completed(res call.Result, err error) {
	var result json.RawMessage
	if err == nil {
		result = encodeResult(res, c.job.Stats, c.redact)
	}
	c.complete(result, res, err)
}

// complete ends every call that was started. It redacts the secrets in the error, for the client and for the log; encodeResult has
// redacted the console. The log line and the metrics come after the reply.
func (c *preparedCall) complete(result json.RawMessage, used call.Result, err error) {
	if err != nil {
		result, err = nil, c.redact().err(err)
	}
	answered := c.service.executions.complete(c.execution, result, err)
	c.service.reporter.report(c.report(used), err)
	for _, w := range answered {
		w.done()
	}
	if c.detach {
		c.release()
		c.service.lifetime.done()
	}
}

// report returns the Report of the call, without the outcome.
func (c *preparedCall) report(used call.Result) Report {
	report := Report{
		Method: c.method, Tenant: c.origin.tenant, Execution: c.execution.name.id, Session: c.session != nil, Trace: c.origin.trace,
		Began: c.began, Container: used.Container, Cold: used.Cold,
	}
	report.Queue = time.Since(c.began)
	if used.Container != "" {
		took := report.Queue
		report.Queue = c.turn + used.Queue
		report.Run = max(0, took-report.Queue)
	}
	return report
}

// Result is the result of runtime.execute.
type Result struct {
	Value   json.RawMessage `json:"value"`
	Console []string        `json:"console"`
	Time    int64           `json:"time"` // ms
	Stats   *Stats          `json:"stats,omitempty"`
}

// encodeResult returns the JSON of a Result. The value is passed on unchanged.
func encodeResult(r call.Result, stats bool, redact func() redactor) json.RawMessage {
	if len(r.Value) == 0 {
		r.Value = message.Null
	}
	b := make([]byte, 0, len(r.Value)+64)
	b = append(b, `{"value":`...)
	b = append(b, r.Value...)
	b = append(b, `,"console":`...)
	if len(r.Console) == 0 {
		b = append(b, `[]`...)
	} else {
		b = message.AppendJSON(b, redact().lines(r.Console))
	}
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, r.Time, 10)
	if stats {
		b = append(b, `,"stats":`...)
		b = message.AppendJSON(b, statsOf(r))
	}
	return append(b, '}')
}

// Stats are the stats in the result of a call that asked for them.
type Stats struct {
	Queue     float64 `json:"queue"`     // ms it waited for a container, in tenths
	Cold      bool    `json:"cold"`      // it was the first call of its container
	CPU       float64 `json:"cpu"`       // ms of processor time, in tenths, as the agent says
	Container string  `json:"container"` // ID
}

func statsOf(r call.Result) Stats {
	return Stats{Queue: tenths(r.Queue), Cold: r.Cold, CPU: tenths(r.CPU), Container: r.Container}
}

func tenths(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}
