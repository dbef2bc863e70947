package main

import "strconv"

// A figure is a line of the table: a measured value, with a baseline if it has one.
type figure struct {
	name  string
	value float64
	unit  unit

	against  string  // name of the baseline; empty: there is none
	baseline float64 // in the same unit

	least, try target // that has to be reached, and that is worth trying for
}

// A unit says how to print a value. Values are in seconds, in bytes, or in calls or bytes a second.
type unit struct {
	scale  float64
	suffix string
}

var (
	milliseconds = unit{1e-3, " ms"}
	microseconds = unit{1e-6, " µs"}
	perSecond    = unit{1, "/s"}
	megabytes    = unit{1e6, " MB"}
	kibibytes    = unit{1 << 10, " KiB"}
	throughput   = unit{1e6, " MB/s"}
	count        = unit{1, ""}
	times        = unit{1, " ×"}
)

// show prints three digits, and more if there are more before the point.
func (u unit) show(value float64) string {
	value /= u.scale
	digits := 2
	switch {
	case value >= 99.95:
		digits = 0
	case value >= 9.995:
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + u.suffix
}

// A target bounds the ratio of a figure that has a baseline, else its value.
type target struct {
	bound float64
	above bool // the figure has to be at least bound; otherwise at most bound
}

func atMost(bound float64) target  { return target{bound: bound} }
func atLeast(bound float64) target { return target{bound: bound, above: true} }

func (t target) exists() bool { return t.bound > 0 }

func (t target) met(value float64) bool {
	if t.above {
		return value >= t.bound
	}
	return value <= t.bound
}

func (t target) show(u unit) string {
	if !t.exists() {
		return ""
	}
	sign := "≤ "
	if t.above {
		sign = "≥ "
	}
	return sign + strconv.FormatFloat(t.bound/u.scale, 'g', 6, 64) + u.suffix
}

func (f *figure) ratio() float64 { return f.value / f.baseline }

// judged returns the value that the targets bound, and its unit.
func (f *figure) judged() (float64, unit) {
	if f.against != "" {
		return f.ratio(), times
	}
	return f.value, f.unit
}

// met says which targets are met.
func (f *figure) met() string {
	value, _ := f.judged()
	switch {
	case !f.least.exists():
		return ""
	case !f.least.met(value):
		return "NO"
	case !f.try.exists():
		return "yes"
	case f.try.met(value):
		return "both"
	}
	return "at least"
}
