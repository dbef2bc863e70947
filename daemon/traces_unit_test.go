package daemon

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestTracesAreAskedForByEnvironment(t *testing.T) {
	const endpoint, traces, exporter, disabled = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"
	for _, test := range []struct {
		environment map[string]string
		want        bool
	}{
		{nil, false},
		{map[string]string{exporter: "otlp"}, false},
		{map[string]string{endpoint: "http://c"}, true},
		{map[string]string{traces: "http://c"}, true},
		{map[string]string{endpoint: "http://c", exporter: "none"}, false},
		{map[string]string{endpoint: "http://c", exporter: "zipkin"}, false},
		{map[string]string{endpoint: "http://c", exporter: "console, otlp"}, true},
		{map[string]string{endpoint: "http://c", disabled: "TRUE"}, false},
		{map[string]string{endpoint: "http://c", disabled: "false"}, true},
	} {
		if got := wantsTraces(func(name string) string { return test.environment[name] }); got != test.want {
			t.Errorf("%v: %v", test.environment, got)
		}
	}
}

// The SDK would panic, or take all memory there is.
func TestSpanCountsThatCannotBe(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	for _, name := range []string{"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"} {
		for _, n := range []string{"-5", "0", "100000000000000", "many"} {
			t.Run(name+"="+n, func(t *testing.T) {
				t.Setenv(name, n)
				if traces, err := openTraces(t.Context(), "test", zerolog.Nop()); err == nil || !strings.HasPrefix(err.Error(), name+"="+n+": has to be a number from 1") {
					t.Errorf("got %v, %v", traces, err)
				}
			})
		}
	}
}
