package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/scheduler"
)

// A scraped is what /metrics said.
type scraped map[string]*dto.MetricFamily

func scrape(t *testing.T, d *daemon) scraped {
	t.Helper()
	status, body := d.get(t, "/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is that of the series with these labels, in order name, value, …; of a histogram how many it counted.
func (s scraped) value(name string, labels ...string) float64 {
	want := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		want[labels[i]] = labels[i+1]
	}
	for _, m := range s[name].GetMetric() {
		got := map[string]string{}
		for _, l := range m.GetLabel() {
			got[l.GetName()] = l.GetValue()
		}
		if maps.Equal(got, want) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return -1
}

func TestMetrics(t *testing.T) {
	d := start(t, "process", "--admin-listen", "127.0.0.1:0", "--concurrency", "1", "--max-containers", "2", "--spare", "1")
	c := dial(t, d.listener.Addr().String(), "json-rpc", nil)
	for range 2 {
		c.execute(script{"code": "1", "tenant": "t"})
	}
	c.execute(script{"code": "throw 1", "tenant": "t"})
	c.execute(with(f("for (;;);"), "timeout", 100))
	c.execute(script{"code": "1", "timeout": 1e9})
	c.open("1", "tenant", "t")
	begun := make(chan callback, 1)
	c.answers(func(b callback) { begun <- b })
	_, runs := c.start("runtime.execute", script{"code": "host.f()", "callbacks": list("f"), "timeout": 60000})
	asked := c.begins(runs, begun)
	_, waits := c.start("runtime.execute", script{"code": "1"})
	eventually(t, "a call waits", func() bool { return d.scheduler.Stats().Queued == 1 })
	got := scrape(t, d)
	for _, want := range []struct {
		value float64
		name  string
		of    []string
	}{
		{3, "jsd_calls_total", []string{"outcome", "ok", "tenant", "t"}},
		{1, "jsd_calls_total", []string{"outcome", "1000", "tenant", "t"}},
		{1, "jsd_calls_total", []string{"outcome", "1002", "tenant", "default"}},
		{1, "jsd_calls_total", []string{"outcome", "1007", "tenant", "default"}},
		{5, "jsd_call_queue_seconds", nil},
		{5, "jsd_call_run_seconds", nil},
		{2, "jsd_container_start_seconds", []string{"result", "ok"}},
		{0, "jsd_container_start_seconds", []string{"result", "failed"}},
		{2, "jsd_containers", []string{"state", "busy"}},
		{0, "jsd_containers", []string{"state", "spare"}},
		{2, "jsd_containers_max", nil},
		{2, "jsd_tenants", nil},
		{1, "jsd_sessions", nil},
		{1, "jsd_calls_running", nil},
		{1, "jsd_calls_waiting", nil},
		{0, "jsd_tenants_waiting", nil},
		{1, "jsd_connections", nil},
		{1, "jsd_ready", nil},
		{2, "jsd_container_starts_total", nil},
		{0, "jsd_container_deaths_total", nil},
		{1, "jsd_build_info", []string{"version", buildVersion(), "goversion", goVersion(got), "driver", "process"}},
	} {
		if value := got.value(want.name, want.of...); value != want.value {
			t.Errorf("%s %v is %v, want %v", want.name, want.of, value, want.value)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "jsd_container_evictions_total", "jsd_container_recycles_total", "jsd_container_start_failures_total", "jsd_calls_refused_total"} {
		if got[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	asked.resolve(1)
	c.wait(runs)
	c.wait(waits)
	problems, err := promlint.NewWithMetricFamilies(slices.Collect(maps.Values(got))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("against Prometheus's custom: %v %v", problems, err)
	}
}

func goVersion(s scraped) string {
	for _, l := range s["jsd_build_info"].GetMetric()[0].GetLabel() {
		if l.GetName() == "goversion" {
			return l.GetValue()
		}
	}
	return ""
}

func TestStartsAreMeasured(t *testing.T) {
	w := watched{metrics: newMetrics(1)}
	for _, err := range []error{nil, errors.New("no"), errors.New("no"), context.Canceled} {
		ctx, cancel := context.WithCancel(t.Context())
		start := w.timed(func(context.Context, string) (scheduler.Container, error) {
			if err == context.Canceled { // the daemon ends
				cancel()
			}
			return nil, err
		})
		if _, got := start(ctx, ""); got != err {
			t.Errorf("got %v, want %v", got, err)
		}
		cancel()
	}
	families, err := w.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := scraped{}
	for _, family := range families {
		got[family.GetName()] = family
	}
	const name = "jsd_container_start_seconds"
	if ok, failed := got.value(name, "result", startOK), got.value(name, "result", startFailed); ok != 1 || failed != 2 {
		t.Errorf("%v started, %v failed", ok, failed)
	}
}

func TestTenantLabelsAreBounded(t *testing.T) {
	m := newMetrics(3)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, tenant := range []string{"a", others, "b", "", "c", "d", "e", "a"} {
				m.call(&rpc.Report{Tenant: tenant})
				m.call(&rpc.Report{Tenant: tenant, Code: -31999})
			}
		})
	}
	all.Wait()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	sum, named := 0.0, map[string]float64{}
	for _, family := range families {
		if family.GetName() != "jsd_calls_total" {
			continue
		}
		for _, series := range family.GetMetric() {
			labels = append(labels, series.GetLabel()[0].GetValue())
			sum += series.GetCounter().GetValue()
			named[series.GetLabel()[1].GetValue()] += series.GetCounter().GetValue()
		}
	}
	slices.Sort(labels)
	if got := fmt.Sprint(slices.Compact(labels)); got != "[ok other]" || sum != 4*8*2 {
		t.Errorf("outcomes %s of %v calls", got, sum)
	}
	if len(named) != 3+2 || named[""] != 8 || named[others] < 8 { // three names, the rest, and those that say none
		t.Errorf("tenants %v", named)
	}
	none := newMetrics(0)
	none.call(&rpc.Report{Tenant: "a"})
	if got := none.tenants.of("a"); got != others {
		t.Errorf("without names: %s", got)
	}
}

// eventually polls until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
