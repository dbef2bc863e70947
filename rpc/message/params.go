package message

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A Schema is a JSON Schema, draft 7.
type Schema map[string]any

// A Param is the type of one field of a method's params.
type Param interface {
	Take(value json.RawMessage) bool // sets the Param to a well-formed value that is not null; false if the value is not allowed
	Expects() string                 // completes "NAME must be …"
	Schema() Schema
}

// Params that are not structs.
type (
	Text        string          // a string, decoded
	Source      json.RawMessage // a string, as the client wrote it
	Object      json.RawMessage // as the client wrote it
	Array       json.RawMessage // likewise
	Millis      time.Duration   // from a number of milliseconds
	Mebibytes   int
	Flag        bool
	Reuse       string   // ReuseTenant or ReuseCall
	Name        string   // of a tenant, an execution or an upload, see call.IsName
	Identifiers []string // names of callbacks
	RequestID   string   // as it came
)

func (t *Text) Take(v json.RawMessage) bool {
	if Kind(v) != '"' {
		return false
	}
	*t = Text(Unquote(v))
	return true
}

func (*Text) Expects() string { return "a string" }

func (s *Source) Take(v json.RawMessage) bool {
	*s = Source(v)
	return Kind(v) == '"'
}

func (*Source) Expects() string { return "a string" }

func (o *Object) Take(v json.RawMessage) bool {
	*o = Object(v)
	return Kind(v) == '{'
}

func (*Object) Expects() string { return "an object" }

// Has reports whether there is a member with this name.
func (o Object) Has(name string) bool {
	for key := range Members(o) {
		if string(key) == name {
			return true
		}
	}
	return false
}

func (a *Array) Take(v json.RawMessage) bool {
	*a = Array(v)
	return Kind(v) == '['
}

func (*Array) Expects() string { return "an array" }

func (m *Millis) Take(v json.RawMessage) bool {
	n, ok := positive(v, math.MaxInt64/int64(time.Millisecond)/2)
	*m = Millis(time.Duration(n) * time.Millisecond)
	return ok
}

func (*Millis) Expects() string { return "a positive whole number of milliseconds" }

func (m *Mebibytes) Take(v json.RawMessage) bool {
	n, ok := positive(v, math.MaxInt32)
	*m = Mebibytes(n)
	return ok
}

func (*Mebibytes) Expects() string { return "a positive whole number of MiB" }

// positive parses a positive whole number as JavaScript would: 200, 200.0, 2e2. A number above most becomes most, which
// exceeds all limits.
func positive(v json.RawMessage, most int64) (n int64, ok bool) {
	if Kind(v) != '0' {
		return 0, false
	}
	f, _ := strconv.ParseFloat(string(v), 64) // too large: infinite
	f = min(f, float64(most))
	return int64(f), f > 0 && f == math.Trunc(f)
}

func (f *Flag) Take(v json.RawMessage) bool {
	k := Kind(v)
	*f = k == 't'
	return k == 't' || k == 'f'
}

func (*Flag) Expects() string { return "true or false" }

// Is returns the value, and false if f is nil.
func (f *Flag) Is() bool { return f != nil && bool(*f) }

// Values of Reuse: which calls may use a container again.
const (
	ReuseTenant Reuse = "tenant" // calls of the same tenant
	ReuseCall   Reuse = "call"   // none
)

func (r *Reuse) Take(v json.RawMessage) bool {
	if Kind(v) == '"' {
		*r = Reuse(Unquote(v))
	}
	return *r == ReuseTenant || *r == ReuseCall
}

func (*Reuse) Expects() string { return `"tenant" or "call"` }

func (n *Name) Take(v json.RawMessage) bool {
	if Kind(v) != '"' {
		return false
	}
	*n = Name(Unquote(v))
	return call.IsName(string(*n))
}

func (*Name) Expects() string { return call.NameForm }

// maxIdentifiers bounds the names of callbacks of a call. Each callback is searched among them.
const maxIdentifiers = 1_000

func (n *Identifiers) Take(v json.RawMessage) bool {
	if Kind(v) != '[' {
		return false
	}
	for name := range Elements(v) {
		if Kind(name) != '"' || len(*n) == maxIdentifiers {
			return false
		}
		text := Unquote(name)
		if !isIdentifier(text) {
			return false
		}
		*n = append(*n, text)
	}
	return true
}

func (*Identifiers) Expects() string {
	return "an array of at most 1,000 names, each 1 to 64 characters of A-Z a-z 0-9 _ $ and not a digit first"
}

func isIdentifier(name string) bool {
	return len(name) >= 1 && len(name) <= 64 && !isDigit(name[0]) && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '$')
	})
}

func (id *RequestID) Take(v json.RawMessage) bool {
	*id = RequestID(v)
	return Kind(v) == '"' || Kind(v) == '0'
}

func (*RequestID) Expects() string { return "the id of a request, a string or a number" }
