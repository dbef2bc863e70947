package daemon_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/jsd-project/jsd/jsdtest"
)

// A scraped is what /metrics said.
type scraped map[string]*dto.MetricFamily

func scrape(t *testing.T, d *jsdtest.Daemon) scraped {
	t.Helper()
	status, body := get(t, d, "/metrics", nil)
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
	t.Parallel()
	d := start(t, "process", "--admin-listen", "127.0.0.1:0", "--concurrency", "1", "--max-containers", "2", "--spare", "1")
	c := d.Dial(t, "json-rpc")
	for range 2 {
		c.Execute(script{"code": "1", "tenant": "t"})
	}
	c.Execute(script{"code": "throw 1", "tenant": "t"})
	c.Execute(with(f("for (;;);"), "timeout", 100))
	c.Execute(script{"code": "1", "timeout": 1e9})
	c.Open("1", "tenant", "t")
	begun := make(chan callback, 1)
	c.Answers(func(b callback) { begun <- b })
	_, runs := c.Start("runtime.execute", script{"code": "host.f()", "callbacks": list("f"), "timeout": 60000})
	asked := c.Begins(runs, begun)
	_, waits := c.Start("runtime.execute", script{"code": "1"})
	eventually(t, "a call waits", func() bool { return d.Status().Calls.Waiting == 1 })
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
		{1, "jsd_build_info", []string{"version", "test", "goversion", goVersion(got), "driver", "process"}},
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
	asked.Resolve(1)
	c.Wait(runs)
	c.Wait(waits)
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
