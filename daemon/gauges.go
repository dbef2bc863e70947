package daemon

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jsd-project/jsd/scheduler"
)

// gauges are what the scheduler and the server know by themselves; nothing is kept of it here.
type gauges struct {
	daemon     *Daemon
	containers *prometheus.Desc
	all        []gauge
}

// A gauge, or a counter, is one number of what was read.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(reading) float64
}

type reading struct {
	scheduler.Stats
	connections int
	most        int // containers
	ready       bool
}

func newGauges(d *Daemon) *gauges {
	g := &gauges{daemon: d, containers: prometheus.NewDesc("jsd_containers",
		"Containers: starting, spare (ready and nobody's), idle (a tenant's, without calls), busy (with calls or sessions), closing.",
		[]string{"state"}, nil)}
	add := func(kind prometheus.ValueType, name, help string, read func(reading) float64) {
		g.all = append(g.all, gauge{prometheus.NewDesc(name, help, nil, nil), kind, read})
	}
	const now, total = prometheus.GaugeValue, prometheus.CounterValue
	add(now, "jsd_ready", "1 when a script could run right now, else 0.", func(r reading) float64 {
		if r.ready {
			return 1
		}
		return 0
	})
	add(now, "jsd_containers_max", "Containers that there may be at once.", func(r reading) float64 { return float64(r.most) })
	add(now, "jsd_sessions", "Sessions that are open.", func(r reading) float64 { return float64(r.Sessions) })
	add(now, "jsd_calls_running", "Calls in containers.", func(r reading) float64 { return float64(r.Running) })
	add(now, "jsd_calls_waiting", "Calls that wait for a container.", func(r reading) float64 { return float64(r.Queued) })
	add(now, "jsd_tenants", "Tenants that have a container or a waiting call.", func(r reading) float64 { return float64(r.Tenants) })
	add(now, "jsd_tenants_waiting", "Tenants in line for a container.", func(r reading) float64 { return float64(r.TenantsWaiting) })
	add(now, "jsd_connections", "Connections of clients, POSTs among them.", func(r reading) float64 { return float64(r.connections) })
	add(total, "jsd_calls_refused_total", "Calls refused because too many waited or they waited too long.", func(r reading) float64 { return float64(r.Refused) })
	add(total, "jsd_container_starts_total", "Starts of containers, begun.", func(r reading) float64 { return float64(r.Starts) })
	add(total, "jsd_container_start_failures_total", "Starts that failed, and containers that died as soon as they were ready.", func(r reading) float64 { return float64(r.Failed) })
	add(total, "jsd_container_deaths_total", "Ready containers that died.", func(r reading) float64 { return float64(r.Deaths) })
	add(total, "jsd_container_evictions_total", "Containers that gave way to another tenant.", func(r reading) float64 { return float64(r.Evictions) })
	add(total, "jsd_container_recycles_total", "Containers ended because they were idle too long.", func(r reading) float64 { return float64(r.Recycled) })
	add(total, "jsd_container_replacements_total", "Containers ended because they were too old, or made of what their tenant has no more.", func(r reading) float64 { return float64(r.Stale) })
	return g
}

func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	to <- g.containers
	for _, gauge := range g.all {
		to <- gauge.desc
	}
}

func (g *gauges) Collect(to chan<- prometheus.Metric) {
	d := g.daemon
	r := reading{d.scheduler.Stats(), d.rpc.Connections(), d.settings.MaxContainers, d.scheduler.Ready() == nil}
	for state, n := range map[string]int{
		"starting": r.Starting, "spare": r.Spare, "idle": r.Idle, "busy": r.Busy, "closing": r.Closing,
	} {
		to <- prometheus.MustNewConstMetric(g.containers, prometheus.GaugeValue, float64(n), state)
	}
	for _, gauge := range g.all {
		to <- prometheus.MustNewConstMetric(gauge.desc, gauge.kind, gauge.read(r))
	}
}
