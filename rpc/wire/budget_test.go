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
		if got := strings.Join(evicted, " "); got != step.want || all.held != step.held {
			t.Errorf("%s %+d: evicted %q, holds %d; want %q, %d", step.who, step.n, got, all.held, step.want, step.held)
		}
	}
	for _, b := range shares {
		b.Release()
	}
	if all.held != 0 || len(all.shares) != 0 {
		t.Errorf("in the end %d held by %d", all.held, len(all.shares))
	}
}

func TestQuotaLeavesRoomToOtherTenants(t *testing.T) {
	q := NewQuota(100)
	for _, step := range []struct {
		tenant string
		n      int64 // given back where negative
		want   bool
	}{
		{"a", 20, true}, {"a", 6, false}, {"a", 5, true}, {"b", 60, true}, // alone, more than its quarter
		{"c", 15, true}, {"d", 1, false}, {"a", -5, true}, {"d", 5, true}, {"b", -60, true}, {"c", 11, false}, {"c", 10, true},
	} {
		got := true
		if step.n < 0 {
			q.Release(step.tenant, -step.n)
		} else {
			got = q.Acquire(step.tenant, step.n)
		}
		if got != step.want {
			t.Errorf("%s %d: got %v with %v", step.tenant, step.n, got, q.of)
		}
	}
}
