package main

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// A script is something to measure.
type script struct {
	name   string            // in the table
	tenant string            // whose warm calls run it, so that it shares a container with no other script
	params string            // of runtime.execute, without the closing brace
	files  map[string]string // of the bundle that it names, where it does
	value  string            // what it comes to; empty: 2
}

// request is the params of a call for a tenant; in a session, which has its own, there is no tenant.
func (s *script) request(tenant string) string {
	if tenant == "" {
		return s.params + "}"
	}
	return fmt.Sprintf(`%s,"tenant":%q}`, s.params, tenant)
}

func (s *script) want() []byte { return []byte(cmp.Or(s.value, "2")) }

// plain is what everything else is set against.
var plain = script{name: "plain", tenant: warmTenant, params: `{"code":"function run(cb){ cb(a + 1) }","globals":{"a":1},"call":"run"`}

const bundled = 200 // modules that the entry of a bundle imports

//go:embed typed.ts
var typed string

// kinds are the scripts that are set against the plain one.
func kinds() []script {
	source, _ := json.Marshal(typed) // a string always has a JSON form
	return []script{
		{name: "require('lodash')", tenant: "warm-lodash",
			params: `{"code":"const _ = require('lodash'); function run(cb){ cb(_.add(a, 1)) }","globals":{"a":1},"call":"run"`},
		{name: fmt.Sprintf("bundle, %d CommonJS modules", bundled), tenant: "warm-commonjs", files: commonJS()},
		{name: fmt.Sprintf("bundle, %d ES modules", bundled), tenant: "warm-es", files: esModules()},
		{name: fmt.Sprintf("TypeScript, %d lines", strings.Count(typed, "\n")), tenant: "warm-typescript",
			params: fmt.Sprintf(`{"code":%s,"language":"typescript","globals":{"a":1},"call":"run"`, source)},
	}
}

// module is the source of one of a bundle's modules, but for how it exports scale and checked.
func module(n int) string {
	return fmt.Sprintf(`// Multiplies by %[1]d.
const FACTOR = %[1]d;

function scale(x) {
  return x * FACTOR;
}

function checked(x) {
  if (typeof x !== 'number') throw new TypeError('%[1]d wants a number');
  return scale(x);
}
`, n)
}

func commonJS() map[string]string {
	files := make(map[string]string, bundled+1)
	var entry strings.Builder
	for n := range bundled {
		files[fmt.Sprintf("lib/by%d.js", n)] = "'use strict';\n" + module(n) + "\nmodule.exports = { scale, checked };\n"
		fmt.Fprintf(&entry, "const by%[1]d = require('./lib/by%[1]d');\n", n)
	}
	entry.WriteString("exports.run = (cb) => cb(by1.checked(a) + by1.scale(a));\n")
	files["index.js"] = entry.String()
	return files
}

func esModules() map[string]string {
	files := make(map[string]string, bundled+1)
	var entry strings.Builder
	for n := range bundled {
		files[fmt.Sprintf("lib/by%d.mjs", n)] = module(n) + "\nexport { scale, checked };\n"
		fmt.Fprintf(&entry, "import * as by%[1]d from './lib/by%[1]d.mjs';\n", n)
	}
	entry.WriteString("export const run = (cb) => cb(by1.checked(a) + by1.scale(a));\n")
	files["index.mjs"] = entry.String()
	return files
}
