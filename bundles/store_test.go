package bundles

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// size is what a source tree of sized counts for.
const size = 10_000

// sized makes a source tree of one file, with content of its own by name.
func sized(t testing.TB, name string) *SourceTree {
	t.Helper()
	fixed := treeOf(t, `{"a.js":"`+name+`"}`).Size()
	return treeOf(t, `{"a.js":"`+name+strings.Repeat("x", int(size-fixed))+`"}`)
}

// each is the same bound for all tenants.
func each(bytes int64) func(string) int64 { return func(string) int64 { return bytes } }

// A shelf is a store whose bundles go by names.
type shelf struct {
	testing.TB
	*Store
	ids map[string]string
}

func newShelf(t testing.TB, perTenant, total int64) *shelf {
	return &shelf{t, NewStore(Config{Tenant: each(perTenant * size), Total: total * size}), map[string]string{}}
}

func (s *shelf) put(tenant string, names ...string) {
	s.Helper()
	for _, name := range names {
		id, err := s.Put(tenant, sized(s, name))
		if err != nil {
			s.Fatal(err)
		}
		s.ids[name] = id
	}
}

func (s *shelf) has(tenant, name string) bool {
	s.Helper()
	b, err := s.Get(tenant, s.ids[name])
	if err != nil && !errors.Is(err, ErrNotFound) || err == nil && b.ID != s.ids[name] {
		s.Errorf("got %v, %v", b, err)
	}
	return err == nil
}

// expect asks in an order of which the last is then the most recently used.
func (s *shelf) expect(tenant string, want map[string]bool, order ...string) {
	s.Helper()
	for _, name := range order {
		if got := s.has(tenant, name); got != want[name] {
			s.Errorf("%s of %s: there %v", name, tenant, got)
		}
	}
}

func TestLeastRecentlyUsedGoesOut(t *testing.T) {
	s := newShelf(t, 3, 100)
	s.put("t", "a", "b", "c")
	s.expect("t", map[string]bool{"a": true}, "a") // Get touches
	s.put("t", "d")
	s.expect("t", map[string]bool{"a": true, "c": true, "d": true}, "b", "d", "c", "a")
	s.put("t", "d") // and so does Put
	s.put("t", "e")
	s.expect("t", map[string]bool{"a": true, "d": true, "e": true}, "a", "b", "c", "d", "e")
	if s.stored.Size() != 3*size {
		t.Errorf("%d bytes are counted", s.stored.Size())
	}
}

func TestTenantsAreApart(t *testing.T) {
	s := newShelf(t, 2, 100)
	s.put("one", "a", "b")
	if s.has("two", "a") {
		t.Error("a tenant gets the bundle of another")
	}
	if s.stored.Owners() != 1 {
		t.Error("asking makes a tenant")
	}
	s.put("two", "a", "c", "d")
	s.expect("one", map[string]bool{"a": true, "b": true}, "a", "b")
	s.expect("two", map[string]bool{"c": true, "d": true}, "a", "c", "d")
}

func TestTotalTakesFromTenantLeastRecentlySeen(t *testing.T) {
	s := newShelf(t, 3, 5)
	s.put("old", "a", "b")
	s.put("new", "c", "d", "e")
	s.has("old", "a")
	s.put("newest", "f")
	s.expect("new", map[string]bool{"d": true, "e": true}, "c", "d", "e")
	s.put("newest", "g") // takes b, which old has not used since
	s.expect("old", map[string]bool{"a": true}, "b", "a")
	for i := range 100 {
		s.put(fmt.Sprint(i), fmt.Sprint(i))
	}
	if s.stored.Owners() != 5 || s.stored.Size() != 5*size {
		t.Errorf("%d tenants, %d bytes", s.stored.Owners(), s.stored.Size())
	}
}

func TestTooLarge(t *testing.T) {
	for name, c := range map[string]Config{
		"tenant": {Tenant: each(size - 1)},
		"total":  {Total: size - 1},
	} {
		s := NewStore(c)
		if _, err := s.Put("t", sized(t, "a")); !errors.Is(err, ErrTooLarge) || s.stored.Owners() != 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := NewStore(Config{Tenant: each(size), Total: size}).Put("t", sized(t, "a")); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func TestABoundOfItsOwn(t *testing.T) {
	bounds := map[string]int64{"a": 3 * size, "b": size}
	s := &shelf{t, NewStore(Config{Tenant: func(tenant string) int64 { return bounds[tenant] }}), map[string]string{}}
	s.put("a", "1", "2", "3")
	s.put("b", "1", "2")
	if !s.has("a", "1") || s.has("b", "1") || !s.has("b", "2") {
		t.Error("one has the bound of the other")
	}
	bounds["a"] = size // holds with the next put, also of what is there
	if room := s.Reserve("a"); !errors.Is(room.Grow(size+1), ErrTooLarge) {
		t.Error("a reservation beyond a bound that is smaller now")
	}
	s.put("a", "3")
	if s.has("a", "1") || s.has("a", "2") || !s.has("a", "3") {
		t.Error("more is kept than the bound that is smaller now")
	}
}

func TestBundleOutlivesItsPlace(t *testing.T) {
	s := newShelf(t, 1, 1)
	s.put("t", "a")
	b, err := s.Get("t", s.ids["a"])
	if err != nil {
		t.Fatal(err)
	}
	s.put("t", "b")
	if s.has("t", "a") || !b.Has("a.js") || !strings.Contains(string(b.Parts[0]), "axx") || b.Size != len(b.Parts[0]) {
		t.Errorf("got %v", b)
	}
}

func TestReservation(t *testing.T) {
	s := NewStore(Config{Tenant: each(100), Total: 150})
	a, b, other := s.Reserve("t"), s.Reserve("t"), s.Reserve("other")
	for i, step := range []struct {
		of   *Reservation
		size int64
		want error
	}{
		{a, 60, nil}, {a, 50, nil}, {b, 41, ErrTooLarge}, {b, 40, nil}, {a, 61, ErrTooLarge},
		{other, 51, ErrTooLarge}, {other, 50, nil}, {s.Reserve("third"), 1, ErrTooLarge},
	} {
		if err := step.of.Grow(step.size); !errors.Is(err, step.want) {
			t.Errorf("step %d: got %v, want %v", i, err, step.want)
		}
	}
	a.Release()
	a.Release()
	if err := b.Grow(100); err != nil {
		t.Errorf("after a release: %v", err)
	}
	b.Release()
	other.Release()
	if s.making.Held() != 0 || s.making.Owners() != 0 {
		t.Errorf("%d bytes of %d tenants are left", s.making.Held(), s.making.Owners())
	}
}

func TestManyAtOnce(t *testing.T) {
	s := newShelf(t, 2, 4)
	trees := make([][]*SourceTree, 8)
	for i := range trees {
		for j := range 20 {
			trees[i] = append(trees[i], sized(t, fmt.Sprint(i, "-", j%4)))
		}
	}
	var all sync.WaitGroup
	for i, own := range trees {
		all.Go(func() {
			tenant := fmt.Sprint(i % 3)
			for _, f := range own {
				room := s.Reserve(tenant)
				_ = room.Grow(f.Size())
				id, err := s.Put(tenant, f)
				if err != nil {
					t.Error(err)
				}
				if b, err := s.Get(tenant, id); err == nil && b.ID != id {
					t.Error("another bundle")
				}
				room.Release()
			}
		})
	}
	all.Wait()
	if s.stored.Size() > 4*size || s.making.Held() != 0 {
		t.Errorf("%d bytes, %d reserved", s.stored.Size(), s.making.Held())
	}
}
