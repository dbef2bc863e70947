package quota

// An Account counts what each of its owners holds. NewAccount makes one.
type Account[O comparable] struct {
	most int64
	held int64
	of   map[O]int64 // without owners that hold nothing
}

// NewAccount makes an account of which all owners together may hold most.
func NewAccount[O comparable](most int64) *Account[O] {
	return &Account[O]{most: most, of: map[O]int64{}}
}

// Held returns what all owners hold together.
func (a *Account[O]) Held() int64 { return a.held }

// Of returns what one owner holds.
func (a *Account[O]) Of(owner O) int64 { return a.of[owner] }

// Owners returns the number of owners that hold anything.
func (a *Account[O]) Owners() int { return len(a.of) }

// Over reports whether all owners together hold more than they may, as Add lets them.
func (a *Account[O]) Over() bool { return a.held > a.most }

// Acquire adds n for an owner that may hold most. If that is beyond this bound or the bound of all owners, it adds nothing
// and returns false.
func (a *Account[O]) Acquire(owner O, n, most int64) bool {
	if a.of[owner]+n > most || a.held+n > a.most {
		return false
	}
	a.Add(owner, n)
	return true
}

// Add adds n for an owner, whatever the bounds are. A negative n releases.
func (a *Account[O]) Add(owner O, n int64) {
	a.held += n
	if left := a.of[owner] + n; left == 0 {
		delete(a.of, owner)
	} else {
		a.of[owner] = left
	}
}

// Largest returns the owner that holds most, and how much. It looks at each owner. The amount is 0 if there is none.
func (a *Account[O]) Largest() (owner O, held int64) {
	for other, n := range a.of {
		if n > held {
			owner, held = other, n
		}
	}
	return owner, held
}
