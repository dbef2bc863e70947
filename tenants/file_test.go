package tenants

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestFilesThatCannotBe(t *testing.T) {
	for _, c := range []struct{ why, content, want string }{
		{"empty", "", ": is empty: write tenants: {}"},
		{"only comments", "# nobody yet\n", ": is empty"},
		{"no mapping", "- acme\n", ":1:1: a file has the keys defaults and tenants"},
		{"a word", "acme\n", ":1:1: a file has the keys"},
		{"bytes", "tenants:\n  \xff: {}\n", ":2:1: this is no text in UTF-8"},
		{"UTF-16", "\xff\xfet\x00", ":1:1: this is no text in UTF-8"},
		{"a null", "tenants:\n  a\x00: {}\n", ":2:1: this is no text in UTF-8"},
		{"tab", "tenants:\n\tacme:\n", ":2:1: found character '\t'"},
		{"broken", "tenants: {acme: {memory: 1}\n", ":1:10: "},
		{"indentation", "tenants:\n  acme:\n    memory: 512\n   heap: 1\n", ":4:4: "},
		{"two documents", "tenants: {}\n---\ntenants: {}\n", ":2:1: a file holds one document"},
		{"anchor", "defaults: &d\n  queue: 1\n", ":1:11: anchors and aliases"},
		{"alias", "tenants:\n  acme: *d\n", ":2:9: anchors and aliases"},
		{"merge", "tenants:\n  acme:\n    <<: {queue: 1}\n", ":3:5: anchors and aliases"},
		{"tag", "tenants:\n  acme: !!map {}\n", `:2:9: "!!map" is not taken`},
		{"question", "? tenants\n: {}\n", `:1:1: "?" is not taken`},
		{"directive", "%YAML 1.1\n---\ntenants: {}\n", `:1:1: "%" is not taken`},
		{"deep", "tenants: " + strings.Repeat("[", 100_000), ":1:15: this lies too deep"},
		{"deep maps", "tenants: " + strings.Repeat("{a: ", 100_000), ": this lies too deep"},
		{"deep lists", strings.Repeat("- ", 100_000), ":1:3: this lies too deep"},
		{"top", "tenant:\n  acme: {}\n", ":1:1: unknown key tenant: a file has defaults and tenants"},
		{"top twice", "tenants: {}\ndefaults: {}\ntenants: {}\n", ":3:1: tenants is there already, in line 1"},
		{"tenant twice", "tenants:\n  acme: {}\n  \"acme\": {}\n", ":3:3: acme is there already, in line 2"},
		{"key twice", "defaults:\n  queue: 1\n  queue: 2\n", ":3:3: queue is there already, in line 2"},
		{"list of tenants", "tenants: [acme]\n", ":1:1: tenants has to be a mapping"},
		{"tenant is a number", "tenants:\n  acme: 5\n", ":2:3: tenant acme has to be a mapping"},
		{"defaults is a word", "defaults: none\n", ":1:1: defaults has to be a mapping"},
		{"name", "tenants:\n  \"a b\": {}\n", `:2:3: "a b" is no tenant's name, which is 1 to 64`},
		{"long name", "tenants:\n  " + strings.Repeat("a", 65) + ": {}\n", "is no tenant's name"},
		{"no name", "tenants:\n  \"\": {}\n", `:2:3: "" is no tenant's name`},
		{"unknown key", "tenants:\n  acme:\n    memry: 1\n", ":3:5: tenant acme: unknown key memry: there are image, runtime, memory,"},
		{"key in another case", "tenants:\n  acme:\n    Memory: 1\n", ":3:5: tenant acme: unknown key Memory"},
		{"odd key", "defaults:\n  \"a\\nb\": 1\n", `:2:3: defaults: unknown key "a\nb"`},
		{"hosts without quotes", "defaults:\n  hosts: [*.a.com]\n", ":2:11: anchors and aliases (& * <<) are not taken: write it out, or as defaults; put quotes around *.example.com"},
		{"heap of the default", "tenants:\n  acme:\n    queue: 1\n    memory: 32\n", ":4:5: tenant acme: heap 64 is more than memory 32"},
		{"both in defaults", "tenants: {a: {}}\ndefaults:\n  memory: 128\n  heap: 200\n", ":4:3: defaults: heap 200 is more than memory 128"},
		{"timeout", "tenants:\n  a: {}\n  acme: {timeout: 61s}\n", ":3:10: tenant acme: timeout 1m1s is more than maxTimeout 1m0s"},
		{"maximum below the default", "tenants:\n  acme: {maxTimeout: 1s}\n", ":2:10: tenant acme: timeout 3s is more than maxTimeout 1s"},
		{"burst", "tenants:\n  acme: {burst: 5}\n", ":2:10: tenant acme: burst needs a rate"},
		{"bundles", "defaults: {bundles: 1025}\n", ":1:12: defaults: bundles 1025 is more than the daemon's own 1024"},
		{"keep", "defaults: {keep: 513}\n", "keep 513 is more than the daemon's own 512"},
		{"connections", "defaults: {connections: 10001}\n", "connections 10001 is more than the daemon's own 10000"},
		{"inFlight", "defaults: {inFlight: 1025}\n", "inFlight 1025 is more than the daemon's own 1024"},
		{"frame", "defaults: {frame: 16777217}\n", "frame 16777217 is more than the daemon's own 16777216"},
	} {
		t.Run(c.why, func(t *testing.T) {
			cfg := config(t, c.content)
			_, err := New(cfg)
			var known *FileError
			if !errors.As(err, &known) || !strings.HasPrefix(err.Error(), cfg.File+":") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with the file and %s", err, c.want)
			}
		})
	}
}

func TestValuesThatCannotBe(t *testing.T) {
	const (
		count    = "has to be a whole number from 1 to 1000000000, in plain digits"
		memory   = "has to be a whole number of MiB from 1 to 16777216, in plain digits"
		duration = "has to be a time from 1ms to 8760h0m0s with its unit, such as 500ms, 3s or 1h30m"
		optional = "has to be a time up to 8760h0m0s with its unit, such as 500ms, 3s or 1h30m, or 0 for none"
		list     = "has to be a list of names, such as [one, two]"
	)
	for _, c := range []struct {
		key, want string
		values    []string
	}{
		{"queue", count, []string{"0", "-1", "+5", "1e3", "1.0", "010", "0x10", "1_000", "99999999999999999999", "1000000001", `"5"`, "'5'", "five", "", "~", "[5]", "{a: 5}", "true", ".inf", ".nan", "|\n      5", "5 MiB", "5s"}},
		{"memory", memory, []string{"0", "-1", "256MiB", "16777217", "2.5"}},
		{"maxCalls", "has to be a whole number from 0 to 1000000000, in plain digits", []string{"-1", "00", "1e3"}},
		{"timeout", duration, []string{"3", "0", "0s", "999us", "-3s", "8761h", "9999999999h", "soon", "3 s", "", "[3s]", "1e3", "3S", `"3"`}},
		{"maxAge", optional, []string{"-1s", "1", "1us", "never", "8761h", "0x0", ""}},
		{"cpus", "has to be a number above 0, such as 1.5", []string{"0", "0.0", "-1", "1e3", ".inf", ".nan", `"1"`, "two", "", "1.5.5", ".", "99999999999"}},
		{"rate", "has to be a number of calls a second, such as 50, or 0 for no bound", []string{"-1", "1e3", ".inf", "50/s", "[1]", ""}},
		{"reuse", "has to be tenant or call", []string{"never", "Tenant", "true", "", "[call]"}},
		{"image", "has to be the name of an image, such as acme-runtime:2", []string{`""`, "5", "", `" a"`, "[a]", "|\n      a", `"a\nb"`}},
		{"runtime", "has to be the name of an OCI runtime", []string{"5", "", "[runsc]"}},
		{"modules", "has to be a list, such as [one, two]", []string{"lodash", "", "{a: b}", "5"}},
		{"modules", list, []string{"[5]", "[a, null]", `[""]`, "[[a]]", "[{a: b}]"}},
		{"hosts", "has to be a list, such as [one, two]", []string{"a.com", "", "{a: b}"}},
		{"hosts", "has to be a list of texts, such as [one, two]", []string{"[5]", "[a, null]", "[[a]]"}},
		{"hosts", `"http://a.com": a host is a name such as api.example.com`, []string{"[b.com, \"http://a.com\"]"}},
		{"hosts", `"a.com:0": a port is a number from 1 to 65535`, []string{"[a.com:0]"}},
		{"networks", `"10.1.2.3": a network is a range of addresses such as 10.1.0.0/16 or fd00::/8`, []string{"[10.1.2.3]"}},
		{"networks", "10.1.2.3/8 has more than its first 8 bits set: write 10.0.0.0/8, or 10.1.2.3/32", []string{"[10.1.2.3/8]"}},
		{"languages", "has to name one of javascript, typescript, at least", []string{"[]"}},
		{"languages", `has to be of javascript, typescript, and "python" is none`, []string{"[javascript, python]"}},
	} {
		for _, value := range c.values {
			cfg := config(t, "tenants:\n  acme:\n    "+c.key+": "+value+"\n")
			want := cfg.File + ":3:5: tenant acme: " + c.key + " " + c.want
			if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: %s\ngot  %v\nwant %s", c.key, value, err, want)
			}
		}
	}
}

func TestFormsOfAFile(t *testing.T) {
	for why, content := range map[string]string{
		"plain":        "tenants:\n  acme:\n    queue: 7\n",
		"flow":         "{tenants: {acme: {queue: 7}}}",
		"JSON":         `{"tenants": {"acme": {"queue": 7}}}`,
		"BOM":          "\ufefftenants:\n  acme:\n    queue: 7\n",
		"line ends":    "tenants:\r\n  acme:\r\n    queue: 7\r\n",
		"comments":     "# who\ntenants: # all\n\n  acme: # this one\n    queue: 7 # calls\n",
		"header":       "---\ntenants: {acme: {queue: 7}}\n",
		"no defaults":  "defaults:\ntenants: {acme: {queue: 7}}\n",
		"from default": "defaults: {queue: 7}\ntenants:\n",
		"the last one": "tenants: {acme: {queue: 7}, other: {queue: 8}}\ndefaults: {queue: 9}\n",
	} {
		if got := open(t, content).Of("acme").Queue; got != 7 {
			t.Errorf("%s: %d", why, got)
		}
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ file, want string }{
		{dir, dir + ": is a directory"},
		{dir + "/none.yaml", dir + "/none.yaml: no such file or directory"},
	} {
		if _, err := New(Config{File: c.file}); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	large := dir + "/large.yaml"
	write(t, large, "tenants:\n"+strings.Repeat("#\n", maxFile/2))
	if _, err := New(Config{File: large}); err == nil || !strings.HasPrefix(err.Error(), large+": is larger than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(large); err != nil {
		t.Fatal(err)
	}
}

// A pipe that nobody writes to is given up, not waited for: else no signal would be heard any more.
func TestPipes(t *testing.T) {
	pipe := t.TempDir() + "/pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{File: pipe}); err == nil || !strings.HasPrefix(err.Error(), pipe+": is empty") {
		t.Errorf("without a writer: got %v", err)
	}
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0) // to read as well keeps the opening from waiting
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := New(Config{File: pipe}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with a writer that is silent: got %v", err)
	}
}

func TestManyTenants(t *testing.T) {
	var content strings.Builder
	content.WriteString("tenants:\n")
	for i := range 2000 {
		fmt.Fprintf(&content, "  tenant-%d:\n    queue: %d\n    rate: 50\n", i, i+1)
	}
	if ps := open(t, content.String()); ps.Len() != 2000 || ps.Of("tenant-1999").Queue != 2000 {
		t.Errorf("%d tenants, the last with a queue of %d", ps.Len(), ps.Of("tenant-1999").Queue)
	}
	cfg := config(t, "tenants:\n"+strings.Repeat("  a: {}\n", maxKeys))
	if _, err := New(cfg); err == nil || err.Error() != cfg.File+":40001:4: a file has at most 40000 keys: give what most tenants have as defaults" {
		t.Errorf("too many: %v", err)
	}
}
