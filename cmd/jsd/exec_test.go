package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/jsd-project/jsd/jsdtest"
)

// outcome is what the shell sees of a command.
type outcome struct {
	status   int
	out, err string
}

// command runs jsd in this process, with the arguments given.
func command(t *testing.T, in string, arguments ...string) outcome {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stdin")
	write(t, file, in)
	stdin, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	return commandOn(t, stdin, arguments...)
}

func commandOn(t *testing.T, stdin *os.File, arguments ...string) outcome {
	t.Helper()
	var cli commands
	var out, said bytes.Buffer
	parser := kong.Must(&cli, kong.BindTo(t.Context(), (*context.Context)(nil)), kong.Bind(streams{stdin, &out, &said}))
	parsed, err := parser.Parse(arguments)
	if err != nil {
		return outcome{statusUsage, "", err.Error()}
	}
	err = parsed.Run()
	return outcome{status(err, &said), out.String(), said.String()}
}

const execSource = `#!/usr/bin/env -S jsd exec
console.log("hi");
function add(a, b) { return a + b }
function shout(cb) { console.warn("a"); console.error("b"); cb(word.toUpperCase()) }
function type() { throw new TypeError("bad") }
function text() { throw "boom" }
function big() { return 1n }
function large() { return "x".repeat(5000) }
function loop() { for (;;); }
`

var execCases = []struct {
	name      string
	arguments []string
	in        string
	want      outcome // of err the beginning
}{
	{"last expression", []string{"-"}, "6 * 7", outcome{0, "42\n", ""}},
	{"undefined", []string{"-"}, "", outcome{0, "null\n", ""}},
	{"args", []string{"a.js", "--call=add", "--args=[1, 2]"}, "", outcome{0, "3\n", "hi\n"}},
	{"what HTML would escape", []string{"a.js", "--call=add", `--args=["<&>", "\u2028"]`}, "", outcome{0, "\"<&>\u2028\"\n", "hi\n"}},
	{"console and globals", []string{"a.js", "--call=shout", `--globals={"word": "x"}`}, "", outcome{0, "\"X\"\n", "hi\na\nb\n"}},
	{"raw string", []string{"-", "--raw"}, `"a\n\"b\""`, outcome{0, "a\n\"b\"\n", ""}},
	{"raw object", []string{"-", "--raw"}, `({a: "b"})`, outcome{0, "{\"a\":\"b\"}\n", ""}},
	{"caller", []string{"a.js", "--call=add", "--caller=function (callee, cb) { cb(callee(1, 2)) }"}, "", outcome{0, "3\n", "hi\n"}},
	{"caller of a file", []string{"a.js", "--call=add", "--caller=@caller.js"}, "", outcome{0, "7\n", "hi\n"}},
	{"caller with args", []string{"a.js", "--call=add", "--args=[5, 6]", "--caller=(callee, cb, args) => cb(callee(...args))"}, "", outcome{0, "11\n", "hi\n"}},
	{"typescript by name", []string{"a.ts"}, "", outcome{0, "3\n", ""}},
	{"typescript by flag", []string{"-", "--language=typescript"}, "const a: number = 4; a", outcome{0, "4\n", ""}},
	{"a module", []string{"a.mjs"}, "", outcome{0, "5\n", ""}},
	{"a CommonJS module", []string{"a.cjs", "--call=f", "--args=[]"}, "", outcome{0, "6\n", ""}},
	{"a module in TypeScript", []string{"a.mts"}, "", outcome{0, "7\n", ""}},
	{"a folder", []string{"--folder=folder", "./lib/main.mjs", "--call=f", "--args=[1]"}, "", outcome{0, "11\n", ""}},

	{"throws", []string{"a.js", "--call=type"}, "", outcome{1, "", "hi\nTypeError: bad\n    at type (script.js:5:25)\n"}},
	{"throws a string", []string{"a.js", "--call=text"}, "", outcome{1, "", "hi\nboom\n"}},
	{"syntax", []string{"-"}, "function (", outcome{1, "", ""}},
	{"no such function", []string{"a.js", "--call=none"}, "", outcome{1, "", ""}},
	{"empty call", []string{"a.js", "--call="}, "", outcome{1, "", ""}},
	{"not serializable", []string{"a.js", "--call=big", "--args=[]"}, "", outcome{1, "", "hi\nNot serializable\n"}},

	{"a tenant that is none", []string{"a.js", "--tenant=a/b"}, "", outcome{2, "", "jsd: Invalid params: tenant must be"}},

	{"timeout", []string{"a.js", "--call=loop", "--timeout=150ms"}, "", outcome{3, "", "hi\njsd: Timeout (wall)\n"}},
	{"a value too large", []string{"a.js", "--call=large", "--args=[]"}, "", outcome{3, "", "hi\njsd: Limit exceeded (result)\n"}},

	{"forbidden", []string{"a.js", "--timeout=2h"}, "", outcome{4, "", "jsd: Forbidden (timeout)\n"}},
}

func TestExecOnADaemon(t *testing.T) {
	d := start(t, "process", "--result", "1000", "--secret", "s3cret")
	t.Chdir(folder(t,
		"a.js", execSource,
		"caller.js", "function (callee, cb) { cb(callee(3, 4)) };\n",
		"a.ts", "interface A { a: number }\nconst a: A = { a: 3 };\na.a\n",
		"a.mjs", "export default await Promise.resolve(5);\n",
		"a.cjs", "exports.f = () => 6;\n",
		"a.mts", "const a: number = 7;\nexport default a;\n",
		"folder/lib/main.mjs", "import { ten } from '../ten.js';\nexport const f = (n) => n + ten;\n",
		"folder/ten.js", "exports.ten = 10;\n",
	))
	t.Setenv("JSD_SECRET", "s3cret")
	for _, c := range execCases {
		t.Run(c.name, func(t *testing.T) {
			got := command(t, c.in, append([]string{"exec", "--daemon", d.Address()}, c.arguments...)...)
			if got.status != c.want.status || got.out != c.want.out || !strings.HasPrefix(got.err, c.want.err) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if c.want.status == statusScript && got.err == "" {
				t.Error("nothing was said")
			}
		})
	}
}

func TestExecAlone(t *testing.T) {
	for driver, cases := range map[string]int{"docker": 2, "process": 7} {
		for _, c := range []struct {
			name, code string
			flags      []string
			want       outcome
		}{
			{"value", `console.log("hi"); 1 + 1`, nil, outcome{0, "2\n", "hi\n"}},
			{"timeout", "for (;;);", []string{"--timeout=100ms"}, outcome{3, "", "jsd: Timeout (wall)\n"}},
			{"throws", `throw "no"`, nil, outcome{1, "", "no\n"}},
			{"longer than a daemon allows", "1", []string{"--timeout=2h"}, outcome{0, "1\n", ""}},
			{"hosts", `fetch("http://b.test").catch((e) => e.cause.message)`, []string{"--hosts=a.test"}, outcome{0, `"connect to b.test:80 is not allowed: it is not in hosts of tenant default"` + "\n", ""}},
			{"networks", `fetch("http://127.0.0.1:2").catch((e) => e.cause.code)`, []string{"--hosts=127.0.0.1:2", "--networks=127.0.0.0/8"}, outcome{0, `"ECONNREFUSED"` + "\n", ""}},
			{"modules", `require("path")`, []string{"--modules=url"}, outcome{1, "", "Error: "}},
		}[:cases] {
			t.Run(driver+" "+c.name, func(t *testing.T) {
				jsdtest.NeedDriver(t, driver)
				t.Setenv("TMPDIR", t.TempDir())
				t.Setenv("JSD_SECRET", "of a daemon")
				t.Setenv("JSD_LISTEN", "0.0.0.0:1")
				t.Setenv("JSD_SPARE", "5")
				got := command(t, c.code, append([]string{"exec", "-", "--daemon=", "--driver", driver}, c.flags...)...)
				if got.status != c.want.status || got.out != c.want.out || !strings.HasPrefix(got.err, c.want.err) {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				nothingLeft(t, driver, os.Getpid())
			})
		}
	}
}

// nothingLeft checks what a jsd exec of the process with this id leaves, which has TMPDIR for itself.
func nothingLeft(t *testing.T, driver string, pid int) {
	t.Helper()
	entries, err := os.ReadDir(os.Getenv("TMPDIR"))
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "jsd-") {
			t.Errorf("left %s", entry.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
	if driver == "docker" && containersOf(t, pid) > 0 {
		t.Error("a container is left")
	}
}

// containersOf counts the containers of a jsd exec.
func containersOf(t *testing.T, pid int) int {
	t.Helper()
	out, err := exec.Command("docker", "ps", "-a", "--filter", "label=jsd.instance", "--format", `{{.Label "jsd.instance"}}`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Count("\n"+string(out), "\nexec-"+strconv.Itoa(pid)+"-")
}

func TestExecWithoutADaemon(t *testing.T) {
	d := start(t, "process", "--secret", "s3cret")
	address := d.Address()
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none"))
	t.Setenv("JSD_DAEMON", "")
	t.Setenv("JSD_SECRET", "")
	t.Setenv("SECRET", "")
	for _, c := range []struct {
		name, want string
		arguments  []string
	}{
		{"nobody listens", "no daemon at 127.0.0.1:1: ", []string{"--daemon", "127.0.0.1:1"}},
		{"no secret", "401 Unauthorized: the header x-runtime-secret must hold", []string{"--daemon", "ws://" + address}},
		{"another secret", "401 Unauthorized", []string{"--daemon", address, "--secret", "x"}},
		{"no TLS there", "no daemon at " + address, []string{"--daemon", "wss://" + address, "--secret", "s3cret"}},
		{"another page", "404 Not Found", []string{"--daemon", "http://" + address + "/other", "--secret", "s3cret"}},
		{"no engine", "no Docker engine answers", []string{"--driver", "docker"}},
		{"no node", "no Node", []string{"--driver", "process", "--node", "no-such-node"}},
		{"a node that is none", "container did not become ready", []string{"--driver", "process", "--node", jsdtest.FakeNode(t)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("JSD_LOG_LEVEL", "off")
			got := command(t, "1", append([]string{"exec", "-"}, c.arguments...)...)
			if got.status != statusJSD || got.out != "" || !strings.Contains(got.err, c.want) || strings.Count(got.err, "\n") != 1 {
				t.Errorf("got %+v, want one line with %q", got, c.want)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	for daemon, want := range map[string]string{
		"127.0.0.1:8765":          "http://127.0.0.1:8765/rpc",
		"localhost:8765":          "http://localhost:8765/rpc",
		"[::1]:8765":              "http://[::1]:8765/rpc",
		"ws://h:1":                "http://h:1/rpc",
		"wss://h/jsd/":            "https://h/jsd/rpc",
		"https://h/jsd/rpc?a=b":   "https://h/jsd/rpc?a=b",
		"ftp://h":                 "",
		"http://user:pass@h:8765": "",
		"http://":                 "",
		"h:port":                  "",
		"unix:///socket":          "",
	} {
		if got, err := endpointOf(daemon); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %s, %v; want %s", daemon, got, err, want)
		}
	}
}

func TestExecWithAToken(t *testing.T) {
	by := jsdtest.NewIssuer(t, "a")
	file := filepath.Join(t.TempDir(), "keys.json")
	write(t, file, by.Published(t))
	certificate, key, _ := jsdtest.SelfSigned(t, time.Hour)
	d, _ := jsdtest.StartQuiet(t, "--jwt-key-file", file, "--jwt-audience", "jsd", "--tls-cert", certificate, "--tls-key", key)
	address := "wss://" + d.Address()
	if got := command(t, "1", "exec", "-", "--daemon", address, "--token", "x"); got.status != statusJSD || !strings.Contains(got.err, "certificate") {
		t.Errorf("a certificate that nobody vouches for: %+v", got)
	}
	if got := command(t, "1", "exec", "-", "--daemon", d.Address(), "--token", "x"); got.status != statusJSD || !strings.Contains(got.err, "Client sent an HTTP request to an HTTPS server") {
		t.Errorf("without TLS: %+v", got)
	}
	run := func(token string) string {
		jsd := jsdtest.Command(t, "exec", "-", "--daemon", address)
		jsd.Env = append(jsd.Env, "SSL_CERT_FILE="+certificate, "JSD_TOKEN="+token)
		jsd.Stdin = strings.NewReader("6 * 7")
		out, _ := jsd.CombinedOutput()
		return string(out)
	}
	if got := run(by.Token(t, "acme", time.Hour)); got != "42\n" {
		t.Errorf("got %s", got)
	}
	if got := run(by.Token(t, "acme", -time.Hour)); !strings.Contains(got, "401 Unauthorized: the token has expired") {
		t.Errorf("got %s", got)
	}
	if who := whoServes(t.Context(), d.Address()); !strings.HasPrefix(who, "jsd ") {
		t.Errorf("doctor sees %q there", who)
	}
}
