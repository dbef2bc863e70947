package rpc

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jsd-project/jsd/tenants"
)

// A param is the type of one field of a method's params: it takes a well-formed value that is not
// null, or says what it would take.
type param interface {
	take(value json.RawMessage) bool
	expects() string
	schema() schema
}

type (
	text        string
	source      json.RawMessage // a string, as the client wrote it
	object      json.RawMessage
	array       json.RawMessage
	millis      time.Duration
	mebibytes   int
	flag        bool
	reuse       string
	tenantName  string
	uploadID    string
	executionID string
	names       []string // of callbacks
	requestID   string   // as it came
)

func (t *text) take(v json.RawMessage) bool {
	if kind(v) != '"' {
		return false
	}
	*t = text(unquote(v))
	return true
}

func (*text) expects() string { return "a string" }

func (s *source) take(v json.RawMessage) bool {
	*s = source(v)
	return kind(v) == '"'
}

func (*source) expects() string { return "a string" }

func (o *object) take(v json.RawMessage) bool {
	*o = object(v)
	return kind(v) == '{'
}

func (*object) expects() string { return "an object" }

func (a *array) take(v json.RawMessage) bool {
	*a = array(v)
	return kind(v) == '['
}

func (*array) expects() string { return "an array" }

func (m *millis) take(v json.RawMessage) (ok bool) {
	n, ok := positive(v, math.MaxInt64/int64(time.Millisecond)/2)
	*m = millis(time.Duration(n) * time.Millisecond)
	return ok
}

func (*millis) expects() string { return "a positive whole number of milliseconds" }

func (m *mebibytes) take(v json.RawMessage) bool {
	n, ok := positive(v, math.MaxInt32)
	*m = mebibytes(n)
	return ok
}

func (*mebibytes) expects() string { return "a positive whole number of MiB" }

// positive reads a number that is positive and whole, as JavaScript would call it: 200, 200.0, 2e2.
// What is above most, which is above all limits, becomes that.
func positive(v json.RawMessage, most int64) (n int64, ok bool) {
	if kind(v) != '0' {
		return 0, false
	}
	f, _ := strconv.ParseFloat(string(v), 64) // too large: infinite
	f = min(f, float64(most))
	return int64(f), f > 0 && f == math.Trunc(f)
}

func (f *flag) take(v json.RawMessage) bool {
	k := kind(v)
	*f = k == 't'
	return k == 't' || k == 'f'
}

func (*flag) expects() string { return "true or false" }

// is may be called where there is none.
func (f *flag) is() bool { return f != nil && bool(*f) }

// What of a container may be used again.
const (
	reuseTenant reuse = "tenant" // by calls of the same tenant
	reuseCall   reuse = "call"   // nothing, by any
)

func (r *reuse) take(v json.RawMessage) bool {
	if kind(v) == '"' {
		*r = reuse(unquote(v))
	}
	return *r == reuseTenant || *r == reuseCall
}

func (*reuse) expects() string { return `"tenant" or "call"` }

func (t *tenantName) take(v json.RawMessage) (ok bool) {
	name, ok := takeName(v)
	*t = tenantName(name)
	return ok
}

func (*tenantName) expects() string { return tenants.ExpectsName }

func (u *uploadID) take(v json.RawMessage) (ok bool) {
	id, ok := takeName(v)
	*u = uploadID(id)
	return ok
}

func (*uploadID) expects() string { return tenants.ExpectsName }

func (x *executionID) take(v json.RawMessage) (ok bool) {
	id, ok := takeName(v)
	*x = executionID(id)
	return ok
}

func (*executionID) expects() string { return tenants.ExpectsName }

// takeName takes the name of a tenant, an upload or an execution: one rule is for all.
func takeName(v json.RawMessage) (name string, ok bool) {
	if kind(v) != '"' {
		return "", false
	}
	name = unquote(v)
	return name, tenants.IsName(name)
}

// maxCallbacks bounds the names that a call may know: each callback is looked for among them.
const maxCallbacks = 1_000

func (n *names) take(v json.RawMessage) bool {
	if kind(v) != '[' {
		return false
	}
	for name := range elements(v) {
		if kind(name) != '"' || len(*n) == maxCallbacks {
			return false
		}
		text := unquote(name)
		if !isIdentifier(text) {
			return false
		}
		*n = append(*n, text)
	}
	return true
}

func (*names) expects() string {
	return "an array of at most 1,000 names, each 1 to 64 characters of A-Z a-z 0-9 _ $ and not a digit first"
}

func isIdentifier(name string) bool {
	return len(name) >= 1 && len(name) <= 64 && !isDigit(name[0]) && strings.IndexFunc(name, func(r rune) bool {
		return r != '$' && (r == '.' || r == '-' || tenants.NotInName(r))
	}) < 0
}

func (id *requestID) take(v json.RawMessage) bool {
	*id = requestID(v)
	return kind(v) == '"' || kind(v) == '0'
}

func (*requestID) expects() string { return "the id of a request, a string or a number" }
