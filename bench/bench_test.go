package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[len(hundred)-1-i] = float64(i + 1)
	}
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{7}, 0.99, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %d values = %v, want %v", c.q, len(c.values), got, c.want)
		}
	}
}

func TestKindsAreSetAgainstPlain(t *testing.T) {
	ms := func(values ...time.Duration) (times []time.Duration) {
		for _, value := range values {
			times = append(times, value*time.Millisecond)
		}
		return times
	}
	rounds := []round{
		{warm: warmTimes{jsd: ms(1, 2)}, tenants: tenantTimes{spare: ms(10)},
			kinds: []kindTimes{{warm: ms(6), spare: ms(20)}, {warm: ms(2), spare: ms(5)}}},
		{warm: warmTimes{jsd: ms(2)}, tenants: tenantTimes{spare: ms(10)},
			kinds: []kindTimes{{warm: ms(4, 5), spare: ms(30)}, {warm: ms(2), spare: ms(5)}}},
	}
	var table strings.Builder
	printKinds(&table, []script{{name: "slow"}, {name: "alike"}}, rounds)
	for _, want := range []string{
		`(?m)^plain +2\.00 ms +1\.00 × +10\.0 ms +1\.00 ×$`,
		`(?m)^slow +5\.00 ms +2\.50 × +20\.0 ms +2\.00 ×$`,
		`(?m)^alike +2\.00 ms +1\.00 × +5\.00 ms +0\.50 ×$`,
	} {
		if !regexp.MustCompile(want).MatchString(table.String()) {
			t.Errorf("no line %s in\n%s", want, table.String())
		}
	}
}

func TestSteal(t *testing.T) {
	parse := func(stat string) cpuTime {
		t.Helper()
		parsed, err := parseCPUTime(stat)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	before := parse("cpu  100 0 100 700 50 25 25 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	// 100 ticks more, 10 of them stolen; the 40 of guests are among the user's.
	after := parse("cpu  150 0 110 730 50 25 25 10 40 0\n")
	if got := after.stealSince(before); got != 0.1 {
		t.Errorf("steal = %v, want 0.1", got)
	}
	if got := before.stealSince(before); got != 0 {
		t.Errorf("steal of no time = %v, want 0", got)
	}
	for _, stat := range []string{"", "intr 1 2 3", "cpu 1 2 3", "cpu 1 2 3 4 5 6 7 x 9"} {
		if _, err := parseCPUTime(stat); err == nil {
			t.Errorf("%q was taken for /proc/stat", stat)
		}
	}
}
