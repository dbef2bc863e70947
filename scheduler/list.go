package scheduler

// A list is a doubly linked list whose links are fields of its items. So adding and removing an item, and finding out which
// list it is in, take constant time and allocate nothing.
type list[T any] struct {
	first, last *link[T]
	length      int
}

// A link is an item's place in at most one list. in is nil if the item is in no list.
type link[T any] struct {
	item       T
	in         *list[T]
	prev, next *link[T]
}

// front returns the item that has been in the list longest, the zero T if the list is empty.
func (l *list[T]) front() (item T) {
	if l.first != nil {
		item = l.first.item
	}
	return item
}

// push adds a link at the end.
func (l *list[T]) push(k *link[T]) { l.between(l.last, k, nil) }

func (l *list[T]) pushFront(k *link[T]) { l.between(nil, k, l.first) }

// between inserts a link between two neighbours. A nil neighbour stands for an end of the list.
func (l *list[T]) between(prev, k, next *link[T]) {
	k.in, k.prev, k.next = l, prev, next
	if prev != nil {
		prev.next = k
	} else {
		l.first = k
	}
	if next != nil {
		next.prev = k
	} else {
		l.last = k
	}
	l.length++
}

// remove takes the link out of its list. It does nothing if the link is in none.
func (k *link[T]) remove() {
	l := k.in
	if l == nil {
		return
	}
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		l.first = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		l.last = k.prev
	}
	k.in, k.prev, k.next = nil, nil, nil
	l.length--
}
