package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/jsd-project/jsd/rpc"
	"github.com/jsd-project/jsd/scheduler"
)

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
	count := func(result string) uint64 {
		var series dto.Metric
		if err := w.metrics.starts.WithLabelValues(result).(prometheus.Metric).Write(&series); err != nil {
			t.Fatal(err)
		}
		return series.GetHistogram().GetSampleCount()
	}
	if ok, failed := count(startOK), count(startFailed); ok != 1 || failed != 2 {
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

func TestMetricsInOperations(t *testing.T) {
	content, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	m := newMetrics(1)
	m.register(&Daemon{driver: &driver{}})
	descs := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(descs)
	close(descs)
	var there []string
	name := regexp.MustCompile(`fqName: "(jsd_\w+)"`)
	for desc := range descs {
		if found := name.FindStringSubmatch(desc.String()); found != nil {
			there = append(there, found[1])
		}
	}
	_, table, _ := strings.Cut(page, "| metric | says |")
	table, _, _ = strings.Cut(table, "\n\n")
	var told []string
	for row := range strings.Lines(table) {
		metrics, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		told = append(told, regexp.MustCompile(`jsd_\w+`).FindAllString(metrics, -1)...)
	}
	slices.Sort(there)
	slices.Sort(told)
	if there = slices.Compact(there); len(there) == 0 || !slices.Equal(told, there) {
		t.Errorf("the table has\n%v, there are\n%v", told, there)
	}
	for _, used := range regexp.MustCompile(`\bjsd_\w+`).FindAllString(page, -1) {
		if !slices.Contains(there, strings.TrimSuffix(used, "_bucket")) {
			t.Errorf("there is no %s", used)
		}
	}
}
