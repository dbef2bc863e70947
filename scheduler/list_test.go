package scheduler

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// items walks the list both ways and fails if they differ.
func (l *list[T]) items(t *testing.T) []T {
	t.Helper()
	var there, back []*link[T]
	for k := l.first; k != nil; k = k.next {
		there = append(there, k)
	}
	for k := l.last; k != nil; k = k.prev {
		back = append(back, k)
	}
	slices.Reverse(back)
	if !slices.Equal(there, back) || len(there) != l.length {
		t.Fatalf("list of %d is broken: %v there, %v back", l.length, there, back)
	}
	items := make([]T, len(there))
	for i, k := range there {
		if k.in != l {
			t.Fatal("an item does not know its list")
		}
		items[i] = k.item
	}
	return items
}

func TestListIsWhatASliceWouldBe(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var l list[int]
	var want []int
	links := make([]link[int], 10)
	for range 10_000 {
		i := rnd.IntN(len(links))
		k := &links[i]
		k.item = i
		switch in := k.in != nil; {
		case in:
			k.remove()
			want = slices.DeleteFunc(want, func(other int) bool { return other == i })
		case rnd.IntN(2) == 0:
			l.push(k)
			want = append(want, i)
		default:
			l.pushFront(k)
			want = slices.Insert(want, 0, i)
		}
		if got := l.items(t); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if len(want) > 0 && l.front() != want[0] {
			t.Fatalf("front is %d, want %d", l.front(), want[0])
		}
	}
}
