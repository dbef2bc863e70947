package rpc

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// decodeParams fills a struct whose fields are pointers to params, with their names in json tags.
// What is missing or null stays nil. An unknown name is refused, or ignored where lenient. Of a name
// that comes twice the last counts, as with JSON.parse.
func decodeParams[T any](params json.RawMessage, lenient bool) (into T, err error) {
	params, err = theObject(params)
	if err != nil || params == nil {
		return into, err
	}
	target := reflect.ValueOf(&into).Elem()
	values := make([]json.RawMessage, target.NumField())
	for name, value := range members(params) {
		if i := fieldNamed(target.Type(), name); i >= 0 {
			values[i] = value
		} else if !lenient {
			return into, invalidParams(fmt.Sprintf("unknown field %.100q", name))
		}
	}
	for i, value := range values {
		if value == nil || kind(value) == 'n' {
			continue
		}
		field, of := target.Type().Field(i), reflect.New(target.Type().Field(i).Type.Elem())
		if p := of.Interface().(param); !p.take(value) {
			return into, invalidParams(field.Tag.Get("json") + " must be " + p.expects())
		}
		target.Field(i).Set(of)
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
