package rpc

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

const openRPC = "1.3.2" // the version of the specification

// A document is the result of rpc.discover, in the form of OpenRPC. It is made from the table of methods and the types of their
// params and results.
type document struct {
	OpenRPC    string         `json:"openrpc"`
	Info       documentInfo   `json:"info"`
	Methods    []documentCall `json:"methods"`
	Components components     `json:"components"`
	ToClient   []documentCall `json:"x-to-client"` // methods of the client, which jsd calls
}

type documentInfo struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type documentCall struct {
	Name      string       `json:"name"`
	Summary   string       `json:"summary"`
	Structure string       `json:"paramStructure"`
	Params    []descriptor `json:"params"`
	Result    *descriptor  `json:"result,omitempty"` // nil: a notification
	Errors    []reference  `json:"errors,omitempty"`
}

type descriptor struct {
	Name     string         `json:"name"`
	Required bool           `json:"required,omitempty"`
	Schema   message.Schema `json:"schema"`
}

type reference struct {
	Ref string `json:"$ref"`
}

type components struct {
	Errors  map[string]documentError  `json:"errors"`
	Schemas map[string]message.Schema `json:"schemas"`
}

type documentError struct {
	Code    int64  `json:"code"`
	Message string `json:"message"`
}

func describeAll(version string, methods []method) document {
	d := document{
		OpenRPC: openRPC,
		Info: documentInfo{
			Title: "jsd", Version: cmp.Or(version, "unknown"),
			Description: "Runs scripts in containers. params is an object, or an array that holds just it. " +
				"Methods under x-to-client are called by jsd, over a WebSocket only. " +
				"The data of errors has the schema ErrorData.",
		},
		Components: components{errorsByCode(), map[string]message.Schema{"ErrorData": message.SchemaOf(reflect.TypeFor[details]())}},
		ToClient: []documentCall{
			{Name: message.ConsoleMethod, Summary: "Tells of a line that a script printed (a notification)", Structure: byNames,
				Params: descriptorsOf(reflect.TypeFor[message.ConsoleParams]())},
			{Name: message.CallbackMethod, Summary: "A script called host.NAME(...args)", Structure: byNames,
				Params: descriptorsOf(reflect.TypeFor[message.CallbackParams]()), Result: &descriptor{Name: "value", Schema: message.Schema{}}},
		},
	}
	for _, m := range methods {
		d.Methods = append(d.Methods, m.describe())
	}
	return d
}

const byNames = "by-name"

func (m method) describe() documentCall {
	job := documentCall{
		Name: m.name, Summary: m.summary, Structure: byNames, Params: []descriptor{},
		Result: &descriptor{Name: "result", Schema: message.SchemaOf(m.result)},
	}
	for _, f := range m.params.Fields {
		job.Params = append(job.Params, descriptor{f.Name, f.Required, f.Schema()})
	}
	// The specification wants required params first.
	slices.SortStableFunc(job.Params, func(a, b descriptor) int { return order(b.Required) - order(a.Required) })
	for _, code := range slices.Concat(anyErrors, m.errors) {
		job.Errors = append(job.Errors, reference{"#/components/errors/" + strconv.Itoa(int(code))})
	}
	return job
}

func order(required bool) int {
	if required {
		return 1
	}
	return 0
}

// descriptorsOf describes the params of a request that the daemon makes, from their struct.
func descriptorsOf(params reflect.Type) (all []descriptor) {
	s := message.SchemaOf(params)
	required := s["required"].([]string)
	for f := range params.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		all = append(all, descriptor{name, slices.Contains(required, name), s["properties"].(message.Schema)[name].(message.Schema)})
	}
	slices.SortStableFunc(all, func(a, b descriptor) int { return order(b.Required) - order(a.Required) })
	return all
}

// errorsByCode describes every error in the table of codes.
func errorsByCode() map[string]documentError {
	errors := map[string]documentError{}
	for _, row := range call.Codes {
		message := row.Message
		if row.Code == call.Exception {
			message = "the error's name, or the thrown string"
		}
		errors[strconv.Itoa(int(row.Code))] = documentError{int64(row.Code), message}
	}
	return errors
}
