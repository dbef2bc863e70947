package scheduler

// A list is a doubly linked list whose links live inside its items, so that adding, removing and
// finding out where an item is cost the same however long the list, and allocate nothing.
type list[T any] struct {
	first, last *link[T]
	length      int
}

// A link is an item's place in at most one list; in is nil while it is in none.
type link[T any] struct {
	item       T
	in         *list[T]
	prev, next *link[T]
}

// front is the item that has been here longest, the zero T in an empty list.
func (l *list[T]) front() (item T) {
	if l.first != nil {
		item = l.first.item
	}
	return item
}

// push puts a link at the end.
func (l *list[T]) push(k *link[T]) { l.between(l.last, k, nil) }

func (l *list[T]) pushFront(k *link[T]) { l.between(nil, k, l.first) }

// between puts a link between two neighbours, nil for an end of the list.
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

// remove takes the link out of the list it is in, if any.
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
