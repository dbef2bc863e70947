package message

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/jsd-project/jsd/call"
)

func (*Text) Schema() Schema      { return Schema{"type": "string"} }
func (*Source) Schema() Schema    { return Schema{"type": "string"} }
func (*Object) Schema() Schema    { return Schema{"type": "object"} }
func (*Array) Schema() Schema     { return Schema{"type": "array"} }
func (*Millis) Schema() Schema    { return Schema{"type": "integer", "minimum": 1} }
func (*Mebibytes) Schema() Schema { return Schema{"type": "integer", "minimum": 1} }
func (*Flag) Schema() Schema      { return Schema{"type": "boolean"} }
func (*Name) Schema() Schema      { return Schema{"type": "string", "pattern": call.NamePattern} }
func (*RequestID) Schema() Schema { return Schema{"type": []string{"string", "number"}} }
func (*Secrets) Schema() Schema   { return Schema{"type": "object"} }

func (*Reuse) Schema() Schema {
	return Schema{"type": "string", "enum": []Reuse{ReuseTenant, ReuseCall}}
}

func (*Files) Schema() Schema {
	return Schema{"type": "object", "additionalProperties": Schema{"type": "string"}}
}

func (*Identifiers) Schema() Schema {
	return Schema{"type": "array", "maxItems": maxIdentifiers, "items": Schema{
		"type": "string", "pattern": "^[A-Za-z_$][A-Za-z0-9_$]{0,63}$",
	}}
}

// A Describer is a type of results with a schema of its own.
type Describer interface{ Schema() Schema }

// SchemaOf returns the schema of a type that encoding/json encodes. It panics if there is none.
func SchemaOf(t reflect.Type) Schema {
	if t == reflect.TypeFor[json.RawMessage]() {
		return Schema{}
	}
	if d, ok := reflect.Zero(t).Interface().(Describer); ok {
		return d.Schema()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return SchemaOf(t.Elem())
	case reflect.String:
		return Schema{"type": "string"}
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.Int64:
		return Schema{"type": "integer"}
	case reflect.Float64:
		return Schema{"type": "number"}
	case reflect.Slice:
		return Schema{"type": "array", "items": SchemaOf(t.Elem())}
	case reflect.Map:
		return Schema{"type": "object", "additionalProperties": SchemaOf(t.Elem())}
	case reflect.Struct:
		return schemaOfStruct(t)
	default:
		panic("no schema for " + t.String())
	}
}

func schemaOfStruct(t reflect.Type) Schema {
	properties, required := Schema{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		properties[name] = SchemaOf(f.Type)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return Schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
