package rpc

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jsd-project/jsd/rpc/message"
)

// A specification is what rpc.discover answered, for a client that knows nothing else.
type specification struct {
	testing.TB
	raw        any
	compiler   *jsonschema.Compiler
	Methods    []specified
	ToClient   []specified `json:"x-to-client"`
	Components struct {
		Errors map[string]struct {
			Code    int64
			Message string
		}
	}
}

type specified struct {
	Name   string
	Params []struct {
		Name     string
		Required bool
	}
	Errors []struct {
		Ref string `json:"$ref"`
	}
}

const documentURL = "https://example.com/openrpc.json"

func parse(t testing.TB, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (r *rig) specification() *specification {
	r.Helper()
	a := asker{r.dial(), false}
	text := []byte(a.ask(discoverMethod, `{}`))
	s := &specification{TB: r.TB, raw: parse(r, text), compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(text, s); err != nil {
		r.Fatal(err)
	}
	meta, err := os.ReadFile("testdata/openrpc/schema.json")
	if err != nil {
		r.Fatal(err)
	}
	schema := parse(r, meta).(map[string]any)
	delete(schema, "$schema") // one of its own, which says what draft 7 does
	s.compiler.DefaultDraft(jsonschema.Draft7)
	draft7 := map[string]any{"$ref": "http://json-schema.org/draft-07/schema#", "definitions": map[string]any{
		"JSONSchemaObject": map[string]any{"properties": map[string]any{"$ref": map[string]any{"type": "string"}}},
	}}
	for url, resource := range map[string]any{
		metaSchema: schema, documentURL: s.raw,
		"https://meta.json-schema.tools": draft7, "https://meta.json-schema.tools/": draft7,
	} {
		if err := s.compiler.AddResource(url, resource); err != nil {
			r.Fatal(err)
		}
	}
	return s
}

// check validates JSON by the schema at a place in the document.
func (s *specification) check(place, text string) {
	s.Helper()
	schema, err := s.compiler.Compile(place)
	if err != nil {
		s.Fatal(err)
	}
	if err := schema.Validate(parse(s, []byte(text))); err != nil {
		s.Errorf("%.300s is not what %s says: %v", text, place, err)
	}
}

func TestDiscoverIsOpenRPC(t *testing.T) {
	r := start(t)
	s := r.specification()
	s.check(metaSchema, asker{r.dial(), false}.ask(discoverMethod, `{}`))
	var names []string
	for _, m := range s.Methods {
		names = append(names, m.Name)
		if !strings.HasPrefix(m.Name, "rpc.") && !r.methods[m.Name].socket { // each can be called
			if _, got := r.post(`{"jsonrpc":"2.0","id":1,"method":"` + m.Name + `"}`); strings.Contains(got, "-32601") {
				t.Errorf("%s: %s", m.Name, got)
			}
		}
		for _, e := range m.Errors {
			if _, ok := s.Components.Errors[e.Ref[strings.LastIndex(e.Ref, "/")+1:]]; !ok {
				t.Errorf("%s may answer %s, which is not there", m.Name, e.Ref)
			}
		}
	}
	if len(names) != len(r.methods) || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("it has %v", names)
	}
}

// What the handlers answer is what the document says that they answer.
func TestDiscoverTellsTheTruth(t *testing.T) {
	r := start(t, func(c *Config) { c.Policy = allowed(Policy{Sessions: 1}); c.MaxInFlight = 3 })
	s := r.specification()
	a := asker{r.dial(), false}
	answered := map[string]bool{}
	ask := func(method, params string) {
		t.Helper()
		i := slices.IndexFunc(s.Methods, func(m specified) bool { return m.Name == method })
		s.checkParams(s.Methods[i], params)
		place := documentURL + "#/methods/" + string(message.AppendJSON(nil, i)) + "/result/schema"
		var failed struct {
			Code    int64
			Message string
			Data    json.RawMessage
		}
		a.send(a.request("1", method, params))
		reply := a.receive()
		if got := outcomeIn(reply); !strings.Contains(reply, `"error":`) {
			answered[method] = true
			s.check(place, got)
			return
		} else if err := json.Unmarshal([]byte(got), &failed); err != nil {
			t.Fatal(err)
		}
		ref := "#/components/errors/" + string(message.AppendJSON(nil, failed.Code))
		if !slices.ContainsFunc(s.Methods[i].Errors, func(e struct {
			Ref string `json:"$ref"`
		}) bool {
			return e.Ref == ref
		}) {
			t.Errorf("%s %s: %d is not among its errors", method, params, failed.Code)
		}
		if failed.Data != nil {
			s.check(documentURL+"#/components/schemas/ErrorData", string(failed.Data))
		}
	}
	for _, code := range []string{"1", "print", "order", "throw", "busy", "lost", "odd", "overrun"} {
		ask(execute, `{"code":"`+code+`","stats":true,"execution":"`+code+`","timeout":200}`)
		ask(attach, `{"execution":"`+code+`"}`)
		ask(execute, `{"code":"`+code+`","reuse":"call","secrets":{"a":"my secret"},"globals":{},"memory":1}`)
	}
	session := a.open("1", "")
	ask(execute, `{"session":"`+session+`","call":"count","args":[],"caller":"c"}`)
	ask(openMethod, `{"code":"1"}`)
	ask(closeMethod, `{"session":"`+session+`"}`)
	ask(closeMethod, `{"session":"`+session+`"}`)
	ask(openMethod, `{"code":"1","stream":true,"callbacks":["f"]}`)
	ask(execute, `{"code":"1","timeout":100000}`)
	ask(put, `{"files":{"a.js":""},"upload":"u","more":true}`)
	ask(put, `{"files":{"a.js":""},"upload":"u"}`)
	ask(attach, `{"execution":"unknown"}`)
	ask(cancel, `{"id":7}`)
	ask(cancel, `{"execution":"e","tenant":"t"}`)
	ask("runtime.stop", `{"tenant":"t"}`)
	ask("runtime.info", `{}`)
	ask(discoverMethod, `{}`)
	for _, m := range s.Methods {
		if !answered[m.Name] {
			t.Errorf("no answer of %s was looked at", m.Name)
		}
	}
}

// checkParams validates each member of params by its own schema.
func (s *specification) checkParams(m specified, params string) {
	s.Helper()
	list, at := "methods", slices.IndexFunc(s.Methods, func(o specified) bool { return o.Name == m.Name })
	if at < 0 {
		list, at = "x-to-client", slices.IndexFunc(s.ToClient, func(o specified) bool { return o.Name == m.Name })
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(params), &all); err != nil {
		s.Fatal(err)
	}
	for i, p := range m.Params {
		value, ok := all[p.Name]
		if delete(all, p.Name); ok {
			s.check(documentURL+"#/"+list+"/"+string(message.AppendJSON(nil, at))+"/params/"+string(message.AppendJSON(nil, i))+"/schema", string(value))
		} else if p.Required {
			s.Errorf("%s: no %s in %s", m.Name, p.Name, params)
		}
	}
	if len(all) > 0 {
		s.Errorf("%s: nothing is said of %v", m.Name, all)
	}
}

// And so is what jsd asks clients.
func TestDiscoverKnowsWhatClientsAreAsked(t *testing.T) {
	r := start(t)
	s := r.specification()
	a := asker{r.dial(), false}
	a.send(a.execute("1", "stream", `,"stream":true`), a.execute("", "ask", `,"callbacks":["f"]`))
	asked := map[string]int{}
	for range 5 {
		var frame struct {
			Method string
			Params json.RawMessage
		}
		if err := json.Unmarshal([]byte(a.receive()), &frame); err != nil {
			t.Fatal(err)
		}
		for _, m := range s.ToClient {
			if m.Name == frame.Method {
				asked[m.Name]++
				s.checkParams(m, string(frame.Params))
			}
		}
	}
	if len(asked) != 2 || len(s.ToClient) != 2 {
		t.Errorf("got %v", asked)
	}
}
