package quota

// An Account counts what each of its owners has taken. New makes one.
type Account[O comparable] struct {
	most  int64
	taken int64
	of    map[O]int64 // without owners that have taken nothing
}

// NewAccount makes an account of which all owners together may take most.
func NewAccount[O comparable](most int64) *Account[O] {
	return &Account[O]{most: most, of: map[O]int64{}}
}

// Held returns what all owners have taken.
func (a *Account[O]) Held() int64 { return a.taken }

// Of returns what one owner has taken.
func (a *Account[O]) Of(owner O) int64 { return a.of[owner] }

// Owners returns the number of owners that have taken anything.
func (a *Account[O]) Owners() int { return len(a.of) }

// Over reports whether all owners together have taken more than they may, as Add lets them.
func (a *Account[O]) Over() bool { return a.taken > a.most }

// Acquire takes n for an owner that may have most in all. If that is beyond this bound or that of all owners, it takes
// nothing and returns false.
func (a *Account[O]) Acquire(owner O, n, most int64) bool {
	if a.of[owner]+n > most || a.taken+n > a.most {
		return false
	}
	a.Add(owner, n)
	return true
}

// Add takes n for an owner, whatever the bounds are. A negative n gives back.
func (a *Account[O]) Add(owner O, n int64) {
	a.taken += n
	if left := a.of[owner] + n; left == 0 {
		delete(a.of, owner)
	} else {
		a.of[owner] = left
	}
}

// Largest returns the owner that has taken most, and how much. It looks at each owner. The amount is 0 if there is
// none.
func (a *Account[O]) Largest() (owner O, taken int64) {
	for other, n := range a.of {
		if n > taken {
			owner, taken = other, n
		}
	}
	return owner, taken
}
