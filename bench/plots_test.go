package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPlotIsWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.csv")
	p := plot{columns: []string{"calls", `a "line", named`}, rows: [][]float64{{1, 0.25}, {100_000, 1e-7}}}
	if err := p.write(name); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if want := "calls,\"a \"\"line\"\", named\"\n1,0.25\n100000,1e-07\n"; string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestLatenciesRiseToTheSlowest(t *testing.T) {
	var took []time.Duration
	for n := range 1000 {
		took = append(took, time.Duration(n+1)*time.Microsecond)
	}
	r := round{warm: warmTimes{took, took}, steady: steadyTimes{took, took}}
	p := latencies([]round{r})
	if len(p.columns) != 5 {
		t.Errorf("columns %q", p.columns)
	}
	for _, want := range []struct {
		row       int
		share, ms float64
	}{{99, 50, 0.5}, {len(p.rows) - 1, 99.9, 0.999}} {
		for i, got := range p.rows[want.row] {
			if i == 0 && got != want.share || i > 0 && (got < want.ms-1e-9 || got > want.ms+1e-9) {
				t.Errorf("row %d is %v", want.row, p.rows[want.row])
			}
		}
	}
}

func TestDecisionsAreMade(t *testing.T) {
	if cost, err := decide(t.Context(), 3, 10); err != nil || cost <= 0 {
		t.Errorf("a decision takes %v s, %v", cost, err)
	}
}
