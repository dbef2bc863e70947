package rpc

import "testing"

func TestRequestQuotaLeavesRoomToOtherTenants(t *testing.T) {
	q := newRequestQuota(100)
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
			q.release(step.tenant, -step.n)
		} else {
			got = q.acquire(step.tenant, step.n)
		}
		if got != step.want {
			t.Errorf("%s %d: got %v with %v", step.tenant, step.n, got, q.tenants)
		}
	}
}
