package rpc

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A param is the type of one field of a method's params: it takes a well-formed value that is not
// null, or says what it would take.
type param interface {
	take(value json.RawMessage) bool
	expects() string
}

type (
	text       string
	source     json.RawMessage // a string, as the client wrote it
	object     json.RawMessage
	array      json.RawMessage
	millis     time.Duration
	tenantName string
	requestID  string // as it came
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

// A number counts as whole where JavaScript would call it so: 200, 200.0, 2e2.
func (m *millis) take(v json.RawMessage) bool {
	if kind(v) != '0' {
		return false
	}
	n, _ := strconv.ParseFloat(string(v), 64) // too large: infinite, which is whole and above all limits
	n = min(n, float64(math.MaxInt64/int64(time.Millisecond)/2))
	*m = millis(time.Duration(n) * time.Millisecond)
	return n > 0 && n == math.Trunc(n)
}

func (*millis) expects() string { return "a positive whole number of milliseconds" }

func (t *tenantName) take(v json.RawMessage) bool {
	if kind(v) != '"' {
		return false
	}
	name := unquote(v)
	*t = tenantName(name)
	return len(name) >= 1 && len(name) <= 64 && strings.IndexFunc(name, notInTenant) < 0
}

func (*tenantName) expects() string { return "1 to 64 characters of A-Z a-z 0-9 . _ -" }

func notInTenant(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		r == '.' || r == '_' || r == '-')
}

func (id *requestID) take(v json.RawMessage) bool {
	*id = requestID(v)
	return kind(v) == '"' || kind(v) == '0'
}

func (*requestID) expects() string { return "the id of a request, a string or a number" }

// decodeParams fills a struct whose fields are pointers to params, with their names in json tags.
// What is missing or null stays nil. An unknown name is refused, or ignored where lenient.
func decodeParams[T any](params json.RawMessage, lenient bool) (into T, err error) {
	params, err = theObject(params)
	if err != nil || params == nil {
		return into, err
	}
	target := reflect.ValueOf(&into).Elem()
	for name, value := range members(params) {
		i := fieldNamed(target.Type(), name)
		switch {
		case i < 0 && lenient, i >= 0 && kind(value) == 'n':
			continue
		case i < 0:
			return into, invalidParams(fmt.Sprintf("unknown field %.100q", name))
		}
		field := reflect.New(target.Type().Field(i).Type.Elem())
		if p := field.Interface().(param); !p.take(value) {
			return into, invalidParams(name + " must be " + p.expects())
		}
		target.Field(i).Set(field)
	}
	return into, nil
}

func fieldNamed(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("json") == name {
			return i
		}
	}
	return -1
}

// theObject is params, or the only element of params.
func theObject(params json.RawMessage) (json.RawMessage, error) {
	if kind(params) == '[' {
		var all []json.RawMessage
		for element := range elements(params) {
			if all = append(all, element); len(all) > 1 {
				return nil, invalidParams("params must be an object, or an array that holds just it")
			}
		}
		params = nil
		if len(all) == 1 {
			params = all[0]
		}
	}
	switch kind(params) {
	case 0, 'n':
		return nil, nil
	case '{':
		return params, nil
	default:
		return nil, invalidParams("params must be an object, or an array that holds just it")
	}
}
