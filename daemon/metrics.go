package daemon

import (
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/egress"
	"github.com/jsd-project/jsd/rpc"
)

// metrics are those of one daemon, in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	tenants  tenantLabels
	calls    *prometheus.CounterVec   // outcome, tenant
	queue    prometheus.Histogram     // seconds
	run      prometheus.Histogram     // likewise
	starts   *prometheus.HistogramVec // likewise; result
	egress   *prometheus.CounterVec   // outcome
	bytes    *prometheus.CounterVec   // direction
}

// newMetrics counts the calls of so many tenants by name.
func newMetrics(tenants int) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		tenants:  tenantLabels{most: tenants, named: map[string]struct{}{}},
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jsd_calls_total", Help: "Calls that ended, by outcome (ok, or the code of the error) and tenant.",
		}, []string{"outcome", "tenant"}),
		queue: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jsd_call_queue_seconds", Help: "How long calls waited that came into a container.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		run: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "jsd_call_run_seconds", Help: "How long calls were in a container.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
		starts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jsd_container_start_seconds", Help: "How long starts of containers took until they were ready or had failed.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"result"}),
		egress: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jsd_egress_connections_total", Help: "Connections that scripts asked for, by what came of it: connected, refused (by the policy), failed, dropped (no longer wanted).",
		}, []string{"outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jsd_egress_bytes_total", Help: "Bytes that scripts sent and received on connections that have ended.",
		}, []string{"direction"}),
	}
	m.registry.MustRegister(m.calls, m.queue, m.run, m.starts, m.egress, m.bytes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, result := range []string{startOK, startFailed} {
		m.starts.WithLabelValues(result) // so that both are there from the beginning
	}
	for _, outcome := range []egress.Outcome{egress.Connected, egress.Refused, egress.Failed, egress.Dropped} {
		m.egress.WithLabelValues(string(outcome))
	}
	for _, direction := range []string{sent, received} {
		m.bytes.WithLabelValues(direction)
	}
	return m
}

// register adds what is read of the daemon whenever somebody asks.
func (m *metrics) register(d *Daemon) {
	m.registry.MustRegister(newGauges(d), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jsd_build_info", Help: "1, with what this daemon is.",
		ConstLabels: prometheus.Labels{"version": d.version, "goversion": runtime.Version(), "driver": d.driver.name},
	}, func() float64 { return 1 }))
}

func (m *metrics) call(r *rpc.Report) {
	m.calls.WithLabelValues(outcomeLabel(r.Code), m.tenants.of(r.Tenant)).Inc()
	if r.Container != "" {
		m.queue.Observe(r.Queue.Seconds())
		m.run.Observe(r.Run.Seconds())
	}
}

// Directions of bytes, as a script sees it.
const (
	sent     = "sent"
	received = "received"
)

func (m *metrics) connection(e *connection) {
	m.egress.WithLabelValues(string(e.outcome)).Inc()
	m.bytes.WithLabelValues(sent).Add(float64(e.sent))
	m.bytes.WithLabelValues(received).Add(float64(e.received))
}

const (
	startOK     = "ok"
	startFailed = "failed"
)

func (m *metrics) start(took time.Duration, err error) {
	result := startOK
	if err != nil {
		result = startFailed
	}
	m.starts.WithLabelValues(result).Observe(took.Seconds())
}

// others is the tenant label of those that have none of their own, and a tenant of that name.
const others = "other"

// outcomeLabel is "ok", a code of the table, or "other" for any other code, so that there are few labels.
func outcomeLabel(code int64) string {
	switch {
	case code == 0:
		return "ok"
	case call.Code(code).IsKnown():
		return strconv.FormatInt(code, 10)
	default:
		return others
	}
}

// A tenantLabels bounds the values of a label, each of which is a series kept for ever: the first tenants
// to come have their names.
type tenantLabels struct {
	most int

	mu    sync.RWMutex // guards named
	named map[string]struct{}
}

func (l *tenantLabels) of(tenant string) string {
	l.mu.RLock()
	_, known := l.named[tenant]
	full := len(l.named) >= l.most
	l.mu.RUnlock()
	switch {
	case known || tenant == "": // of calls whose params do not say
		return tenant
	case full || tenant == others:
		return others
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.named[tenant]; !known && len(l.named) >= l.most {
		return others
	}
	l.named[tenant] = struct{}{}
	return tenant
}
