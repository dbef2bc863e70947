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
	tenant string            // of its warm calls; another one for each script, so that no two share a container
	params string            // of runtime.execute, without the closing brace
	files  map[string]string // of its bundle, if it has one
	value  string            // of the reply; empty: 2
}

// paramsFor returns the params of a call for a tenant. A call in a session names no tenant.
func (s *script) paramsFor(tenant string) string {
	if tenant == "" {
		return s.params + "}"
	}
	return fmt.Sprintf(`%s,"tenant":%q}`, s.params, tenant)
}

func (s *script) want() []byte { return []byte(cmp.Or(s.value, "2")) }

// plain is the script that all others are compared with.
var plain = script{name: "plain", tenant: warmTenant, params: `{"code":"function run(cb){ cb(a + 1) }","globals":{"a":1},"call":"run"`}

const bundled = 200 // modules that the entry of a bundle imports

//go:embed typed.ts
var typed string

// kinds returns the scripts that are compared with the plain one.
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

// module returns the source of a module of a bundle, without the export of scale and checked.
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
