package daemon_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/jsd-project/jsd/jsdtest"
)

// A traceCollector takes spans as OTLP over HTTP.
type traceCollector struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex // guards all below
	spans    []*otlp.Span
	resource map[string]string
}

func newTraceCollector(t *testing.T) *traceCollector {
	c := &traceCollector{t: t}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *traceCollector) take(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	var export collector.ExportTraceServiceRequest
	raw, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(raw, &export)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s %s %v", r.URL, r.Header, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range export.ResourceSpans {
		c.resource = values(of.Resource.Attributes)
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func values(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		case *common.AnyValue_BoolValue:
			all[a.Key] = fmt.Sprint(v.BoolValue)
		case *common.AnyValue_DoubleValue:
			all[a.Key] = fmt.Sprint(v.DoubleValue > 0)
		}
	}
	return all
}

// call is the span of the call with this execution, and those inside by name.
func (c *traceCollector) call(execution string) (call *otlp.Span, parts map[string]*otlp.Span) {
	c.t.Helper()
	for _, span := range c.spans {
		if values(span.Attributes)["jsd.execution"] == execution {
			call = span
		}
	}
	if call == nil {
		c.t.Fatalf("no span of %s among %d", execution, len(c.spans))
	}
	parts = map[string]*otlp.Span{}
	for _, span := range c.spans {
		if bytes.Equal(span.ParentSpanId, call.SpanId) && bytes.Equal(span.TraceId, call.TraceId) {
			parts[span.Name] = span
		}
	}
	return call, parts
}

const (
	theTrace, theParent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	sampled             = "00-" + theTrace + "-" + theParent + "-01"
	unsampled           = "00-1bf7651916cd43dd8448eb211c80319c-" + theParent + "-00"
)

// startTraced takes OpenTelemetry's variables from the environment.
func startTraced(t *testing.T, flags ...string) (*jsdtest.Daemon, *journal) {
	t.Helper()
	log := &journal{}
	change := func(d *jsdtest.Daemon) { d.Settings.Traces = true }
	return jsdtest.StartChanged(t, zerolog.New(log).Level(zerolog.WarnLevel), change, "process", flags...), log
}

func TestTraces(t *testing.T) {
	to := newTraceCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", to.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	d, _ := startTraced(t, "--concurrency", "1", "--max-containers", "1", "--min-containers", "1")
	calls := dial(t, d.Address(), "duplex", http.Header{"Traceparent": {sampled}})
	plain := d.Dial(t, "json-rpc")
	begun := make(chan callback, 1)
	calls.Answers(func(b callback) { begun <- b })
	_, first := calls.Start("runtime.execute", script{"code": "host.f()", "callbacks": list("f"), "execution": "first", "timeout": 60000})
	asked := calls.Begins(first, begun)
	_, second := plain.Start("runtime.execute", script{"code": "throw 1", "execution": "second", "traceparent": sampled})
	eventually(t, "it waits", func() bool { return d.Status().Calls.Waiting == 1 })
	asked.Resolve(1)
	calls.Wait(first)
	plain.Wait(second)
	plain.Execute(script{"code": "1", "execution": "alone", "traceparent": "malformed"})
	plain.Execute(script{"code": "1", "execution": "unsampled", "traceparent": unsampled})
	session := plain.Open("1", "traceparent", sampled)
	plain.In(session, "2", "execution", "inside")
	if err := d.Close(); err != nil { // sends what is left
		t.Fatal(err)
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.resource["service.name"] != "jsd" || to.resource["service.version"] != "test" || to.resource["deployment.environment.name"] != "test" {
		t.Errorf("the resource is %v", to.resource)
	}
	for _, test := range []struct {
		execution, outcome, parent string
		cold, session, waited      string
	}{
		{"first", "ok", theParent, "true", "false", ""}, // may wait for its container to start
		{"second", "1000", theParent, "false", "false", "true"},
		{"alone", "ok", "", "false", "false", "false"},
		{"inside", "ok", "", "false", "true", "false"},
	} {
		span, parts := to.call(test.execution)
		got := values(span.Attributes)
		if hex.EncodeToString(span.ParentSpanId) != test.parent || (hex.EncodeToString(span.TraceId) == theTrace) != (test.parent != "") {
			t.Errorf("%s: trace %x, parent %x", test.execution, span.TraceId, span.ParentSpanId)
		}
		if got["jsd.outcome"] != test.outcome || got["jsd.cold"] != test.cold || got["jsd.session"] != test.session ||
			got["jsd.tenant"] != "default" || !strings.HasPrefix(got["jsd.container"], "process-") ||
			test.waited != "" && got["jsd.queue"] != test.waited {
			t.Errorf("%s: %v", test.execution, got)
		}
		if span.Name != "runtime.execute" || span.Kind != otlp.Span_SPAN_KIND_SERVER || span.Status.GetCode() != otlp.Status_STATUS_CODE_UNSET {
			t.Errorf("%s: %v", test.execution, span)
		}
		run, queue := parts["run"], parts["queue"]
		if run == nil || run.EndTimeUnixNano != span.EndTimeUnixNano || run.StartTimeUnixNano >= run.EndTimeUnixNano {
			t.Errorf("%s: run %v", test.execution, run)
			continue
		}
		if queue != nil && (queue.StartTimeUnixNano != span.StartTimeUnixNano || queue.EndTimeUnixNano != run.StartTimeUnixNano) || queue == nil && test.waited == "true" {
			t.Errorf("%s: queue %v", test.execution, queue)
		}
	}
	opened := 0
	for _, span := range to.spans {
		if span.Name == "runtime.open" && hex.EncodeToString(span.ParentSpanId) == theParent {
			opened++
		}
		if strings.HasPrefix(unsampled, "00-"+hex.EncodeToString(span.TraceId)) {
			t.Errorf("not to be sampled: %v", span)
		}
	}
	if opened != 1 {
		t.Errorf("%d spans of runtime.open", opened)
	}
}

// A collector that is not there costs the daemon nothing but its patience at the end, and a line.
func TestTracesThatNobodyTakes(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"+jsdtest.FreeAddress(t)+"/v1/traces")
	d, log := startTraced(t)
	if got := d.Dial(t, "json-rpc").Execute(script{"code": "1"}).String(); got != "1" {
		t.Errorf("got %s", got)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "traces were not sent") {
		t.Errorf("logged %s", log)
	}
}
