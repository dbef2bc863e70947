package wire

import (
	"fmt"
	"strings"
	"testing"
)

func TestBudgetEvictsWhoHoldsMost(t *testing.T) {
	all := NewBudget(100)
	var evicted []string
	shares := map[string]*Share{}
	for _, name := range []string{"a", "b", "c"} {
		shares[name] = all.Share(func(held int64) { evicted = append(evicted, fmt.Sprint(name, held)) })
	}
	for _, step := range []struct {
		who  string
		n    int64
		want string // who is evicted for it, having held how much
		held int64
	}{
		{"a", 60, "", 60},
		{"b", 40, "", 100},
		{"c", 1, "a60", 41},
		{"a", 50, "", 41}, // is gone and counts for nothing, whatever it still does
		{"a", -110, "", 41},
		{"b", -20, "", 21},
		{"c", 79, "", 100},
		{"c", 1, "c81", 20}, // itself, where it is the one
		{"b", -20, "", 0},
		{"b", 200, "b200", 0},
	} {
		evicted = nil
		shares[step.who].Change(step.n)
		if got := strings.Join(evicted, " "); got != step.want || all.Held() != step.held {
			t.Errorf("%s %+d: evicted %q, holds %d; want %q, %d", step.who, step.n, got, all.Held(), step.want, step.held)
		}
	}
	for _, b := range shares {
		b.Release()
	}
	if all.Held() != 0 || all.shares.Owners() != 0 {
		t.Errorf("in the end %d held by %d", all.Held(), all.shares.Owners())
	}
}
