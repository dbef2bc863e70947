package scheduler

import "time"

// A mean is a moving average of durations in which the last few weigh most; zero before the first one.
type mean time.Duration

func (m *mean) add(d time.Duration) {
	if *m == 0 {
		*m = mean(d)
		return
	}
	*m += (mean(d) - *m) / 8
}

// of is how long that many calls take in so many slots.
func (m mean) of(calls, slots int) time.Duration {
	if m == 0 {
		m = mean(time.Second) // nothing is known: a guess that neither hammers nor sends away
	}
	return time.Duration(m) * time.Duration(calls) / time.Duration(slots)
}
