package quota

import (
	"fmt"
	"slices"
	"testing"
)

func TestAccount(t *testing.T) {
	a := NewAccount[string](150)
	for i, step := range []struct {
		owner string
		n     int64
		want  bool
	}{
		{"a", 60, true}, {"a", 41, false}, {"a", 40, true}, {"b", 51, false}, {"b", 50, true}, {"c", 1, false}, {"a", -60, true}, {"c", 60, true},
	} {
		if got := a.Acquire(step.owner, step.n, 100); got != step.want {
			t.Errorf("step %d: got %v", i, got)
		}
	}
	if a.Held() != 150 || a.Of("a") != 40 || a.Over() {
		t.Errorf("%d taken, %d of a", a.Held(), a.Of("a"))
	}
	if owner, n := a.Largest(); owner != "c" || n != 60 {
		t.Errorf("largest is %s with %d", owner, n)
	}
	a.Add("b", 1)
	if !a.Over() {
		t.Error("not over its bound")
	}
	for _, owner := range []string{"a", "b", "c"} {
		a.Add(owner, -a.Of(owner))
	}
	if a.Held() != 0 || a.Owners() != 0 {
		t.Errorf("%d taken by %d owners", a.Held(), a.Owners())
	}
	if _, n := a.Largest(); n != 0 {
		t.Errorf("the largest of none has %d", n)
	}
}

// keys are those of an owner, the least recently used first.
func keys(s *Store[string, string, int], owner string) (all []string) {
	for key := range s.All(owner) {
		all = append(all, key)
	}
	return all
}

func TestStoreOfOneOwner(t *testing.T) {
	s := NewStore[string, string, int](100, ByValue)
	put := func(key string, value int, size int64, dropped ...int) {
		t.Helper()
		if got := s.Put("o", key, value, size, 10); !slices.Equal(got, dropped) {
			t.Errorf("put %s: dropped %v, want %v", key, got, dropped)
		}
	}
	put("a", 1, 3)
	put("b", 2, 3)
	put("c", 3, 3)
	if value, found := s.Get("o", "a"); value != 1 || !found {
		t.Errorf("got %d, %v", value, found)
	}
	put("d", 4, 4, 2)
	put("c", 5, 4, 1) // grows by 1
	if got := keys(s, "o"); !slices.Equal(got, []string{"d", "c"}) || s.Size() != 8 {
		t.Errorf("got %v of %d", got, s.Size())
	}
	put("e", 6, 10, 4, 5)
	s.Remove("o", "e")
	s.Remove("o", "e")
	s.Remove("another", "e")
	if _, found := s.Get("o", "e"); found || s.Size() != 0 || s.Owners() != 0 {
		t.Errorf("%d bytes of %d owners are left", s.Size(), s.Owners())
	}
	put("f", 7, 11, 7) // nothing but itself to drop
	if s.Owners() != 0 {
		t.Error("an owner without values")
	}
}

func TestStoreOfManyOwners(t *testing.T) {
	for order, want := range map[Order]int{
		ByValue: 1, // of a, which has another value since
		ByOwner: 2, // of b, which has none since
	} {
		s := NewStore[string, string, int](3, order)
		for value, owner := range []string{1: "a", 2: "b", 3: "a", 4: "c"} {
			if value == 0 {
				continue
			}
			dropped := s.Put(owner, fmt.Sprint(value), value, 1, 10)
			if value < 4 && dropped != nil || value == 4 && !slices.Equal(dropped, []int{want}) {
				t.Errorf("order %d: value %d dropped %v", order, value, dropped)
			}
		}
		if s.Size() != 3 {
			t.Errorf("order %d: a size of %d", order, s.Size())
		}
	}
}
