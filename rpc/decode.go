package rpc

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// A shape is what is known of a struct whose fields are pointers to params, with their names in json
// tags. A field that must be there has the tag required:"true".
type shape struct {
	fields []field
	byName map[string]int
}

type field struct {
	name     string
	index    []int
	param    reflect.Type // what the field points to
	required bool
}

func shapeOf(params reflect.Type) *shape {
	s := &shape{byName: map[string]int{}}
	for _, f := range reflect.VisibleFields(params) {
		if f.Anonymous {
			continue
		}
		name := f.Tag.Get("json")
		s.byName[name] = len(s.fields)
		s.fields = append(s.fields, field{name, f.Index, f.Type.Elem(), f.Tag.Get("required") == "true"})
	}
	return s
}

// decodeParams fills a struct of this shape. What is missing or null stays nil. An unknown name is
// refused, or ignored where lenient. Of a name that comes twice the last counts, as with JSON.parse.
func decodeParams[T any](s *shape, params json.RawMessage, lenient bool) (into T, err error) {
	params, err = theObject(params)
	if err != nil {
		return into, err
	}
	values := make([]json.RawMessage, len(s.fields))
	if params != nil {
		for name, value := range members(params) {
			if i, ok := s.byName[string(name)]; ok {
				values[i] = value
			} else if !lenient {
				return into, invalidParams(fmt.Sprintf("unknown field %.100q", name))
			}
		}
	}
	target := reflect.ValueOf(&into).Elem()
	for i, value := range values {
		if value == nil || kind(value) == 'n' {
			continue
		}
		field := &s.fields[i]
		of := reflect.New(field.param)
		if p := of.Interface().(param); !p.take(value) {
			return into, mustBe(field.name, p)
		}
		target.FieldByIndex(field.index).Set(of)
	}
	for i := range s.fields {
		if field := &s.fields[i]; field.required && target.FieldByIndex(field.index).IsNil() {
			return into, mustBe(field.name, reflect.New(field.param).Interface().(param))
		}
	}
	return into, nil
}

func mustBe(name string, p param) error { return invalidParams(name + " must be " + p.expects()) }

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
