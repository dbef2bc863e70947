package examples

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/jsdtest"
)

// packageScripts use one package each, or a few, and come to a value.
var packageScripts = []struct{ name, code, want string }{
	{"lodash", `
		const _ = require('lodash')
		;[_.chunk([1, 2, 3], 2), _.template('<%= a %>!')({ a: 1 }), _.isPlainObject({}), _.isEqual(new Map([[1, 2]]), new Map([[1, 2]]))]`,
		`[[[1,2],[3]],"1!",true,true]`},
	{"a file of lodash", `require('lodash/fp').flow((n) => n + 1, String)(1)`, `"2"`},
	{"dayjs", `require('dayjs')('2024-02-29T12:00:00').add(1, 'year').format('D MMM YYYY')`, `"28 Feb 2025"`},
	{"a plugin of dayjs", `
		const dayjs = require('dayjs')
		dayjs.extend(require('dayjs/plugin/utc'))
		dayjs.utc('2024-02-29T12:00:00+02:00').format()`, `"2024-02-29T10:00:00Z"`},
	{"zod", `
		const { z } = require('zod')
		const { error } = z.object({ n: z.number().min(3), s: z.string() }).safeParse({ n: 1, s: '' })
		error.issues.map(({ code, path }) => [code, ...path])`, `[["too_small","n"]]`},
	{"zod throws", `
		import { z, ZodError } from 'zod'
		let caught
		try { z.string().parse(1) } catch (error) { caught = error instanceof ZodError && error instanceof Error }
		caught`, `true`},
	{"handlebars", `require('handlebars').compile('{{#each names}}{{upper this}} {{/each}}')({ names: ['a', '<'] }, { helpers: { upper: (s) => s.toUpperCase() } })`,
		`"A &lt; "`},
	{"js-yaml", `require('js-yaml').load('a: [1, two]\nb: { c: true }')`, `{"a":[1,"two"],"b":{"c":true}}`},
	{"js-yaml by import", `import { dump } from 'js-yaml'; dump({ a: [1] })`, `"a:\n  - 1\n"`},
	{"JSON in a package", `
		const mime = require('mime-types')
		;[mime.lookup('logo.svg'), mime.extension('text/html'), mime.contentType('a.md'), mime.lookup('none')]`,
		`["image/svg+xml","html","text/markdown; charset=utf-8",false]`},
	{"ES modules by import", `
		import pLimit from 'p-limit'
		const limit = pLimit(1)
		export default await Promise.all([1, 2].map((n) => limit(async () => n * 2)))`, `[2,4]`},
	{"ES modules by import()", `import('p-limit').then(({ default: pLimit }) => pLimit(2)(() => Promise.resolve('later')))`, `"later"`},
	{"ES modules by require", `
		const { validate, version, v5, NIL } = require('uuid')
		;[validate('6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b'), validate('x'), version('6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b'), v5('a', NIL)]`,
		`[true,false,4,"35b65f33-a679-5e76-af3c-273ea349ede4"]`},
	{"random from the host", `import { v4, v7, version } from 'uuid'; [version(v4()), version(v7()), v4() === v4()]`, `[4,7,false]`},
	{"new require", `
		const github = new require('github')()
		github.authenticate({ type: 'oauth', token: 'x' })
		;[typeof github.issues.createComment, typeof github.repos.get, typeof require('github')]`, `["function","function","function"]`},
	{"one package twice", `require('lodash') === require('lodash') && require('lodash') === require('lodash/lodash')`, `true`},
	{"several in one", `
		import _ from 'lodash'
		import { load } from 'js-yaml'
		import dayjs from 'dayjs'
		_.map(load('[2024-01-31, 2024-02-29]').map((day) => dayjs(day)), (day) => day.date())`, `[31,29]`},
}

// stateScripts: what a call sets in a package, and what it found there before.
var stateScripts = []struct{ name, code, want string }{
	{"property", `
		const _ = require('lodash')
		const before = _.seen
		_.seen = true
		before ?? 'nothing'`, `"nothing"`},
	{"registry", `
		const handlebars = require('handlebars')
		const before = Object.keys(handlebars.helpers).includes('seen')
		handlebars.registerHelper('seen', () => 1)
		before`, `false`},
	{"plugin", `
		const dayjs = require('dayjs')
		const before = typeof dayjs.utc
		dayjs.extend(require('dayjs/plugin/utc'))
		before`, `"undefined"`},
	{"prototype", `
		import { ZodType, z } from 'zod'
		const before = z.string.seen ?? ZodType.prototype.seen ?? 'nothing'
		ZodType.prototype.seen = true
		before`, `"nothing"`},
	{"JSON", `
		const types = require('mime-types').types
		const before = types.svg
		types.svg = 'seen'
		before`, `"image/svg+xml"`},
}

// oneContainer is enough for tests that make one call at a time.
var oneContainer = []string{"--spare", "0", "--min-containers", "1", "--log-level", "warn"}

func TestPackages(t *testing.T) {
	for _, driver := range []struct {
		name      string
		needFlags func(*testing.T) []string
	}{
		{"process", func(t *testing.T) []string {
			return []string{"--driver", "process", "--node", needNode(t), "--packages", needPackages(t)}
		}},
		{"docker", func(t *testing.T) []string { return []string{"--driver", "docker", "--image", needDerivedImage(t)} }},
	} {
		t.Run(driver.name, func(t *testing.T) {
			flags := driver.needFlags(t)
			url := serve(t, slices.Concat(flags, oneContainer)...)
			for _, test := range packageScripts {
				t.Run(test.name, func(t *testing.T) {
					if got := executeValue(t, url, test.code); got != test.want {
						t.Errorf("got %s, want %s", got, test.want)
					}
				})
			}
			for _, test := range stateScripts {
				t.Run("state: "+test.name, func(t *testing.T) { testNoState(t, url, test.code, test.want) })
			}
			t.Run("native add-on", func(t *testing.T) { testNativeAddOn(t, url) })
			t.Run("service", func(t *testing.T) { testService(t, flags) })
		})
	}
}

// testNoState runs a script in each of a container's workers, and in some of them again.
func testNoState(t *testing.T, url, code, want string) {
	for i := range 8 {
		if got := executeValue(t, url, code); got != want {
			t.Fatalf("call %d got %s, want %s", i, got, want)
		}
	}
}

// testNativeAddOn wants a plain word, also where the package looks for another add-on when one fails.
func testNativeAddOn(t *testing.T, url string) {
	refused := regexp.MustCompile(`crc32\S*': it is a native add-on, which scripts may not load`)
	for _, code := range []string{`require('@node-rs/crc32')`, `import('@node-rs/crc32')`, `import '@node-rs/crc32'`} {
		if got := execute(t, url, map[string]any{"code": code}); got.Code != 1000 || !refused.MatchString(got.Said) {
			t.Errorf("%s ended with %d %s: %s", code, got.Code, got.Message, got.Said)
		}
	}
}

// testService runs the command of the README.
func testService(t *testing.T, flags []string) {
	event, err := os.ReadFile("packages/event.json")
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "sh", "-c", `exec "$@" 2>&1`, "sh", jsdtest.PlainBinary(t), "exec", "order.js",
		"--call", "onOrder", "--caller", "@caller.js", "--globals", string(event))
	command.Args = append(command.Args, flags...)
	command.Dir = "packages"
	if got, want := run(t, command), printedInReadme(t, "packages", "order of"); got != want {
		t.Errorf("printed\n%s\nwhere its README says\n%s", got, want)
	}
}

// What scripts may load is for the daemon to say: its image, and its list.
func TestPackagesThatAreNotThere(t *testing.T) {
	for _, test := range []struct {
		name      string
		needFlags func(*testing.T) []string
		refused   string // what the error says of lodash
		loads     string // another module that is there
	}{
		{"no packages", func(t *testing.T) []string { return []string{"--driver", "process", "--node", needNode(t)} },
			"Cannot find module 'lodash': no package of that name is in the runtime image", "util"},
		{"plain image", func(t *testing.T) []string { needRuntimeImage(t); return []string{"--driver", "docker"} },
			"Cannot find module 'lodash': no package of that name is in the runtime image", "util"},
		{"list", func(t *testing.T) []string {
			return []string{"--driver", "process", "--node", needNode(t), "--packages", needPackages(t), "--modules", "dayjs,handlebars"}
		}, "Cannot find module 'lodash': it is not in the list of modules that scripts may use (jsd serve --modules)", "handlebars"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := serve(t, slices.Concat(test.needFlags(t), oneContainer)...)
			for _, code := range []string{`require('lodash')`, `import('lodash')`, `import 'lodash'`} {
				if got := execute(t, url, map[string]any{"code": code}); got.Code != 1000 || got.Said != test.refused {
					t.Errorf("%s got %d %s: %s, want 1000 Error: %s", code, got.Code, got.Message, got.Said, test.refused)
				}
			}
			if got := executeValue(t, url, fmt.Sprintf("typeof require(%q)", test.loads)); got != `"object"` {
				t.Errorf("%s is %s", test.loads, got)
			}
		})
	}
}

// needPackages gives a node_modules folder with what the Dockerfile names.
func needPackages(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "../scripts/packages")
	command.Stderr = t.Output()
	printed, err := command.Output()
	if err != nil {
		jsdtest.Missing(t, fmt.Sprint("needs npm and where it takes packages from", ": ", err))
	}
	return strings.TrimSpace(string(printed))
}

// needRuntimeImage makes sure that the image of this checkout is there.
func needRuntimeImage(t *testing.T) {
	t.Helper()
	if _, err := docker.EnsureImage(t.Context(), docker.Build{Files: jsd.Runtime, Progress: t.Output()}); err != nil {
		jsdtest.Missing(t, fmt.Sprint("needs a Docker engine and a runtime image", ": ", err))
	}
}

// needDerivedImage makes an image with the packages, by a build without a network, and removes it after
// the test.
func needDerivedImage(t *testing.T) string {
	t.Helper()
	needRuntimeImage(t)
	tag := fmt.Sprintf("jsd-test-packages-%d", os.Getpid())
	prefix := filepath.Dir(filepath.Dir(needPackages(t)))
	build := exec.CommandContext(t.Context(), "docker", "build", "--network", "none", "--tag", tag, "--file", "packages/Dockerfile.copy", prefix)
	build.Stdout, build.Stderr = t.Output(), t.Output()
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run(t, exec.CommandContext(context.Background(), "docker", "image", "rm", tag)) })
	return tag
}
