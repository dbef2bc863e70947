package examples

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jsd-project/jsd/jsdtest"
)

func TestMain(m *testing.M) { jsdtest.Main(m, 4) }

// patience is for what takes a second or two on a machine that has time for it.
const patience = time.Minute

// needNode gives a Node for the process driver and for clients.
func needNode(t *testing.T) string {
	t.Helper()
	jsdtest.NeedDriver(t, "process")
	return cmp.Or(os.Getenv("JSD_NODE"), "node")
}

// run gives what a command prints; one that fails ends the test.
func run(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// printedInReadme is the indented block of a README that begins with this: what the example prints.
func printedInReadme(t *testing.T, folder, begin string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "\n\n") {
		if strings.HasPrefix(block, "    "+begin) {
			block = strings.TrimSuffix(block, "\n")
			return strings.ReplaceAll(strings.TrimPrefix(block, "    "), "\n    ", "\n") + "\n"
		}
	}
	t.Fatalf("the README of %s has no block that begins with %q", folder, begin)
	return ""
}

// serve serves until the end of the test, and gives where clients connect to.
func serve(t *testing.T, flags ...string) string {
	t.Helper()
	return "ws://" + jsdtest.ServePlain(t, flags...).Address
}

// A reply is what runtime.execute answers: Value where Code is 0.
type reply struct {
	Value         json.RawMessage
	Code          int
	Message, Said string // an error's name, and what it says
}

// execute runs a script by a daemon.
func execute(t *testing.T, url string, script map[string]any) reply {
	t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "runtime.execute", "params": script})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(strings.Replace(url, "ws:", "http:", 1)+"/rpc", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Result struct{ Value json.RawMessage }
		Error  struct {
			Code    int
			Message string
			Data    struct{ Message string }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return reply{answer.Result.Value, answer.Error.Code, answer.Error.Message, answer.Error.Data.Message}
}

// executeValue runs code that has to come to a value.
func executeValue(t *testing.T, url, code string) string {
	t.Helper()
	got := execute(t, url, map[string]any{"code": code, "timeout": 30_000})
	if got.Code != 0 {
		t.Fatalf("%s\nended with %d %s: %s", code, got.Code, got.Message, got.Said)
	}
	return string(got.Value)
}
