package quota

import (
	"container/list"
	"iter"
)

// An Order says whose value a Store drops when all owners together have too much. Among the values of one owner, the
// one least recently used goes first.
type Order int

const (
	ByValue Order = iota // the value least recently used of all
	ByOwner              // a value of the owner least recently used
)

// A Store keeps values of owners. A value has a key, which is unique within its owner, and a size. NewStore makes a
// store.
type Store[O, K comparable, V any] struct {
	account *Account[O]
	order   Order
	owners  map[O]*owned[O, K, V] // without owners that have no value
	recent  list.List             // least recently used first: by ByValue each *entry, by ByOwner each *owned
}

// owned is the values of one owner.
type owned[O, K comparable, V any] struct {
	owner  O
	places map[K]*list.Element // in recent
	recent list.List           // of *entry, least recently used first
	place  *list.Element       // in Store.recent; nil by ByValue
}

type entry[O, K comparable, V any] struct {
	of    *owned[O, K, V]
	key   K
	value V
	size  int64
	place *list.Element // in Store.recent; nil by ByOwner
}

// NewStore makes an empty store, in which all values together may have a size of most.
func NewStore[O, K comparable, V any](most int64, order Order) *Store[O, K, V] {
	return &Store[O, K, V]{account: NewAccount[O](most), order: order, owners: map[O]*owned[O, K, V]{}}
}

// Size returns the size of all values.
func (s *Store[O, K, V]) Size() int64 { return s.account.Held() }

// Len returns the number of values.
func (s *Store[O, K, V]) Len() int {
	n := 0
	for _, of := range s.owners {
		n += len(of.places)
	}
	return n
}

// Owners returns the number of owners that have a value.
func (s *Store[O, K, V]) Owners() int { return len(s.owners) }

// Get returns a value, which is the most recently used from then on. It returns false if there is none.
func (s *Store[O, K, V]) Get(owner O, key K) (value V, found bool) {
	of := s.owners[owner]
	if of == nil || of.places[key] == nil {
		return value, false
	}
	e := of.entry(of.places[key])
	s.touch(e)
	return e.value, true
}

// Put keeps a value, as the most recently used, in the place of the one that has its key. The values of its owner
// together may have a size of most. Put drops others until all bounds hold, and returns what it dropped. A value that
// is too large by itself is for the caller to refuse: Put drops that one, too.
func (s *Store[O, K, V]) Put(owner O, key K, value V, size, most int64) (dropped []V) {
	e := s.at(owner, key)
	s.account.Add(owner, size-e.size)
	e.value, e.size = value, size
	s.touch(e)
	for s.account.Of(owner) > most {
		dropped = append(dropped, s.remove(e.of.oldest()))
	}
	for s.account.Over() {
		dropped = append(dropped, s.remove(s.oldest()))
	}
	return dropped
}

// Remove drops a value. It does nothing if there is none.
func (s *Store[O, K, V]) Remove(owner O, key K) {
	if of := s.owners[owner]; of != nil && of.places[key] != nil {
		s.remove(of.entry(of.places[key]))
	}
}

// All yields the keys and values of an owner, the least recently used first. The store is not to be changed meanwhile.
func (s *Store[O, K, V]) All(owner O) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		of := s.owners[owner]
		if of == nil {
			return
		}
		for place := of.recent.Front(); place != nil; place = place.Next() {
			if e := of.entry(place); !yield(e.key, e.value) {
				return
			}
		}
	}
}

// at returns the entry with a key, or a new one.
func (s *Store[O, K, V]) at(owner O, key K) *entry[O, K, V] {
	of := s.owners[owner]
	if of == nil {
		of = &owned[O, K, V]{owner: owner, places: map[K]*list.Element{}}
		if s.order == ByOwner {
			of.place = s.recent.PushBack(of)
		}
		s.owners[owner] = of
	}
	if place := of.places[key]; place != nil {
		return of.entry(place)
	}
	e := &entry[O, K, V]{of: of, key: key}
	of.places[key] = of.recent.PushBack(e)
	if s.order == ByValue {
		e.place = s.recent.PushBack(e)
	}
	return e
}

// touch makes an entry the most recently used.
func (s *Store[O, K, V]) touch(e *entry[O, K, V]) {
	e.of.recent.MoveToBack(e.of.places[e.key])
	if s.order == ByOwner {
		s.recent.MoveToBack(e.of.place)
	} else {
		s.recent.MoveToBack(e.place)
	}
}

func (s *Store[O, K, V]) oldest() *entry[O, K, V] {
	first := s.recent.Front().Value
	if s.order == ByOwner {
		return first.(*owned[O, K, V]).oldest()
	}
	return first.(*entry[O, K, V])
}

// remove drops an entry, and with the last one its owner.
func (s *Store[O, K, V]) remove(e *entry[O, K, V]) V {
	s.account.Add(e.of.owner, -e.size)
	e.of.recent.Remove(e.of.places[e.key])
	delete(e.of.places, e.key)
	if s.order == ByValue {
		s.recent.Remove(e.place)
	}
	if len(e.of.places) == 0 {
		delete(s.owners, e.of.owner)
		if s.order == ByOwner {
			s.recent.Remove(e.of.place)
		}
	}
	return e.value
}

func (o *owned[O, K, V]) entry(place *list.Element) *entry[O, K, V] {
	return place.Value.(*entry[O, K, V])
}

func (o *owned[O, K, V]) oldest() *entry[O, K, V] { return o.entry(o.recent.Front()) }
