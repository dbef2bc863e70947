package message

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// A Shape is what is known of a struct of params. Its fields are pointers to Params, with their names in json tags; nil stands
// for a field that did not come. A field that must be there has the tag required:"true".
type Shape struct {
	Fields []Field
	byName map[string]int
}

// A Field is a field of a Shape.
type Field struct {
	Name     string
	Required bool
	index    []int
	param    reflect.Type // what the field points to
}

// ShapeOf reads the tags of a struct of params.
func ShapeOf(params reflect.Type) *Shape {
	s := &Shape{byName: map[string]int{}}
	for _, f := range reflect.VisibleFields(params) {
		if f.Anonymous {
			continue
		}
		name := f.Tag.Get("json")
		s.byName[name] = len(s.Fields)
		s.Fields = append(s.Fields, Field{Name: name, Required: f.Tag.Get("required") == "true", index: f.Index, param: f.Type.Elem()})
	}
	return s
}

// Has tells whether there is a field of this name.
func (s *Shape) Has(name string) bool {
	_, there := s.byName[name]
	return there
}

// Schema describes what the field takes.
func (f *Field) Schema() Schema {
	p := reflect.New(f.param).Interface().(Param)
	schema := p.Schema()
	schema["description"] = p.Expects()
	return schema
}

// Decode makes a struct of this shape out of params. What is missing or null stays nil. An unknown name is refused, or
// ignored where lenient. Of a name that comes twice the last counts, as with JSON.parse.
func Decode[T any](s *Shape, params Params, lenient bool) (into T, wrong *Error) {
	object, wrong := theObject(params.JSON)
	if wrong != nil {
		return into, wrong
	}
	var few [32]json.RawMessage
	values := few[:]
	if len(s.Fields) > len(few) {
		values = make([]json.RawMessage, len(s.Fields))
	}
	if object != nil {
		for name, value := range params.members(object) {
			if i, ok := s.byName[string(name)]; ok {
				values[i] = value
			} else if !lenient {
				return into, InvalidParams(fmt.Sprintf("unknown field %.100q", name))
			}
		}
	}
	target := reflect.ValueOf(&into).Elem()
	for i := range s.Fields {
		if wrong := s.Fields[i].set(target, values[i]); wrong != nil {
			return into, wrong
		}
	}
	for i := range s.Fields {
		if f := &s.Fields[i]; f.Required && target.FieldByIndex(f.index).IsNil() {
			return into, f.mustBe(reflect.New(f.param).Interface().(Param))
		}
	}
	return into, nil
}

// set gives the field of target its value, unless that is missing or null.
func (f *Field) set(target reflect.Value, value json.RawMessage) *Error {
	if value == nil || Kind(value) == 'n' {
		return nil
	}
	of := reflect.New(f.param)
	if p := of.Interface().(Param); !p.Take(value) {
		return f.mustBe(p)
	}
	target.FieldByIndex(f.index).Set(of)
	return nil
}

func (f *Field) mustBe(p Param) *Error { return InvalidParams(f.Name + " must be " + p.Expects()) }

// theObject is params, or the only element of params.
func theObject(params json.RawMessage) (json.RawMessage, *Error) {
	const expected = "params must be an object, or an array that holds just it"
	if Kind(params) == '[' {
		array := params
		params = nil
		count := 0
		for element := range Elements(array) {
			if count++; count > 1 {
				return nil, InvalidParams(expected)
			}
			params = element
		}
	}
	switch Kind(params) {
	case 0, 'n':
		return nil, nil
	case '{':
		return params, nil
	default:
		return nil, InvalidParams(expected)
	}
}
