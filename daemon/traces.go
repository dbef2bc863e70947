package daemon

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/jsd-project/jsd/rpc"
)

// flushTime bounds the wait for a collector at the daemon's end.
const flushTime = 5 * time.Second

// wantsTraces reports whether OpenTelemetry's variables name a collector and do not turn traces off.
func wantsTraces(environment func(string) string) bool {
	exporters := environment("OTEL_TRACES_EXPORTER")
	switch {
	case strings.EqualFold(environment("OTEL_SDK_DISABLED"), "true"):
		return false
	case exporters != "" && !slices.Contains(strings.Split(strings.ReplaceAll(exporters, " ", ""), ","), "otlp"):
		return false
	default:
		return environment("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	}
}

// traces makes spans of calls that have ended, and sends them to a collector in the background. It drops spans that it
// cannot send in time.
type traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	log      zerolog.Logger
}

// openTraces opens the exporter. OpenTelemetry's packages read all other variables themselves: sampling, headers, attributes
// of the resource.
func openTraces(ctx context.Context, version string, log zerolog.Logger) (*traces, error) {
	if err := checkSpanCounts(os.Getenv); err != nil {
		return nil, err
	}
	of, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "jsd"), attribute.String("service.version", version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_…: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(of), sdktrace.WithBatcher(logged{exporter, log}))
	return &traces{provider, provider.Tracer("github.com/jsd-project/jsd", trace.WithInstrumentationVersion(version)), log}, nil
}

// checkSpanCounts returns an error for a number at which the SDK would panic. The SDK allocates memory for as many spans at
// once.
func checkSpanCounts(environment func(string) string) error {
	const most = 1_000_000
	for _, name := range []string{"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"} {
		text := environment(name)
		if n, err := strconv.Atoi(text); text != "" && (err != nil || n < 1 || n > most) {
			return fmt.Errorf("%s=%.100s: has to be a number from 1 to %d", name, text, most)
		}
	}
	return nil
}

// call makes the span of a call that has ended, with a span for its wait and one for its run. Their times are known only
// now, and the call does not wait for this work.
func (t *traces) call(r *rpc.Report) {
	ctx := context.Background()
	if r.Trace != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": r.Trace})
	}
	granted := r.Began.Add(r.Queue)
	end := granted.Add(r.Run)
	ctx, span := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.Began))
	defer span.End(trace.WithTimestamp(end))
	if !span.IsRecording() { // not sampled
		return
	}
	span.SetAttributes(attributesOf(r)...)
	if r.Fault {
		span.SetStatus(codes.Error, "") // an error of a script or its client is no error of the service
	}
	if r.Queue > 0 {
		t.part(ctx, "queue", r.Began, granted)
	}
	if r.Container != "" {
		t.part(ctx, "run", granted, end)
	}
}

func (t *traces) part(ctx context.Context, name string, from, to time.Time) {
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(to))
}

func attributesOf(r *rpc.Report) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("jsd.outcome", r.Outcome()),
		attribute.Float64("jsd.queue", r.Queue.Seconds()),
	}
	for _, text := range [...]struct{ key, value string }{
		{"jsd.tenant", r.Tenant}, {"jsd.execution", r.Execution}, {"jsd.container", r.Container},
	} {
		if text.value != "" {
			all = append(all, attribute.String(text.key, text.value))
		}
	}
	if r.Container != "" {
		all = append(all, attribute.Bool("jsd.cold", r.Cold), attribute.Bool("jsd.session", r.Session))
	}
	return all
}

// close sends the remaining spans. It gives up after flushTime.
func (t *traces) close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn().Err(err).Msg("the last traces were not sent")
	}
}

// logged is an exporter that writes its errors to the daemon's log.
type logged struct {
	sdktrace.SpanExporter
	log zerolog.Logger
}

func (l logged) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := l.SpanExporter.ExportSpans(ctx, spans); err != nil {
		l.log.Warn().Err(err).Int("spans", len(spans)).Msg("traces were not sent")
	}
	return nil // the SDK would write the error somewhere else
}
