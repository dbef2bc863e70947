package rpc

import (
	"encoding/json"
	"reflect"
	"strings"
)

// A schema is a JSON Schema, draft 7.
type schema map[string]any

func (*text) schema() schema      { return schema{"type": "string"} }
func (*source) schema() schema    { return schema{"type": "string"} }
func (*object) schema() schema    { return schema{"type": "object"} }
func (*array) schema() schema     { return schema{"type": "array"} }
func (*millis) schema() schema    { return schema{"type": "integer", "minimum": 1} }
func (*mebibytes) schema() schema { return schema{"type": "integer", "minimum": 1} }
func (*flag) schema() schema      { return schema{"type": "boolean"} }
func (*reuse) schema() schema {
	return schema{"type": "string", "enum": []reuse{reuseTenant, reuseCall}}
}
func (*tenantName) schema() schema  { return nameSchema() }
func (*uploadID) schema() schema    { return nameSchema() }
func (*executionID) schema() schema { return nameSchema() }
func (*requestID) schema() schema   { return schema{"type": []string{"string", "number"}} }
func (*secrets) schema() schema     { return schema{"type": "object"} }

func (*folder) schema() schema {
	return schema{"type": "object", "additionalProperties": schema{"type": "string"}}
}

func (*names) schema() schema {
	return schema{"type": "array", "maxItems": maxCallbacks, "items": schema{
		"type": "string", "pattern": "^[A-Za-z_$][A-Za-z0-9_$]{0,63}$",
	}}
}

func nameSchema() schema { return schema{"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"} }

// schemaOfParam describes the type of a param.
func schemaOfParam(t reflect.Type) schema {
	p := reflect.New(t).Interface().(param)
	s := p.schema()
	s["description"] = p.expects()
	return s
}

// schemaOf describes a type that encoding/json writes.
func schemaOf(t reflect.Type) schema {
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		return schema{}
	case t == reflect.TypeFor[document]():
		return schema{"$ref": metaSchema}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice:
		return schema{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		return schemaOfStruct(t)
	default:
		panic("no schema for " + t.String())
	}
}

func schemaOfStruct(t reflect.Type) schema {
	properties, required := schema{}, []string{}
	for f := range t.Fields() {
		name := jsonName(f)
		properties[name] = schemaOf(f.Type)
		if !strings.HasSuffix(f.Tag.Get("json"), ",omitempty") {
			required = append(required, name)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
