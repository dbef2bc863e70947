package main

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChartIsXML(t *testing.T) {
	c := &chart{title: "a < b & \"c\"", x: axis{label: "<x>", ticks: []float64{1, 10, 100}, log: true}, y: axis{label: "&", ticks: []float64{0, 5}},
		series: []series{{"one", "jsd", []point{{1, 0}, {10, 5}}}, {"<two>", "base dashed", []point{{100, 9}}}}}
	text := c.svg()
	decoder := xml.NewDecoder(strings.NewReader(text))
	lines := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if element, is := token.(xml.StartElement); is && element.Name.Local == "path" {
			for _, attribute := range element.Attr {
				if attribute.Name.Local == "class" && strings.HasPrefix(attribute.Value, "line") {
					lines++
				}
			}
		}
	}
	if lines != 4 { // of each series one, and a piece beside its name
		t.Errorf("%d lines in\n%s", lines, text)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []float64
	}{
		{"log within a decade", logTicks(0.3, 0.9), []float64{0.2, 0.5, 1}},
		{"log from a tick to a tick", logTicks(1, 10), []float64{1, 2, 5, 10}},
		{"log over decades", logTicks(0.15, 3), []float64{0.1, 0.2, 0.5, 1, 2, 5}},
		{"even", evenTicks(2200), []float64{0, 500, 1000, 1500, 2000, 2500}},
		{"even, small", evenTicks(0.9), []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
	} {
		if !slices.EqualFunc(c.got, c.want, func(a, b float64) bool { return short(a) == short(b) }) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestAxis(t *testing.T) {
	log := axis{ticks: []float64{1, 10, 100}, log: true}
	even := axis{ticks: []float64{0, 50, 200}}
	for _, c := range []struct{ got, want float64 }{
		{log.share(1), 0}, {log.share(10), 0.5}, {log.share(100), 1}, {log.share(1e6), 1}, {even.share(50), 0.25}, {even.share(-1), 0},
	} {
		if c.got != c.want {
			t.Errorf("share %v, want %v", c.got, c.want)
		}
	}
}

func TestShort(t *testing.T) {
	for tick, want := range map[float64]string{0: "0", 0.2: "0.2", 0.30000000000000004: "0.3", 256: "256", 1000: "1,000", 100000: "100,000", 1e6: "1,000,000"} {
		if got := short(tick); got != want {
			t.Errorf("%v is written %q, want %q", tick, got, want)
		}
	}
}

func TestSharesRiseToTheSlowest(t *testing.T) {
	var took []time.Duration
	for n := range 1000 {
		took = append(took, time.Duration(n+1)*time.Microsecond)
	}
	points := shares(took)
	if p := points[99]; p.y != 50 || p.x != 0.5 {
		t.Errorf("half of the calls are over after %v ms at %v %%", p.x, p.y)
	}
	if p := points[len(points)-1]; p.y != 99.9 || short(p.x) != "0.999" {
		t.Errorf("the last point is %v", p)
	}
}

func TestDecisionsAreMade(t *testing.T) {
	if cost, err := decide(t.Context(), 3, 10); err != nil || cost <= 0 {
		t.Errorf("a decision takes %v s, %v", cost, err)
	}
}
