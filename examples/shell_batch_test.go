package examples

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

func TestShellBatch(t *testing.T) {
	url := serve(t, "--driver", "process", "--node", needNode(t), "--timeout", "1s")
	payments, err := os.ReadFile("shell-batch/payments.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	const nobody = "ws://127.0.0.1:1"
	for _, test := range []struct {
		name, daemon, script, input string
		printed, said               string // said: part of standard error
		status                      int
	}{
		{"payments", url, "score.js", string(payments), printedInReadme(t, "shell-batch", `{"line":1`), "TypeError: amount has to be a number", 1},
		{"all come to a value", url, "score.js", `{"amount":100,"country":"CH"}`, "{\"line\":1,\"value\":16}\n", "from abroad: CH", 0},
		{"none", url, "score.js", "", "", "", 0},
		{"a limit", url, "forever.js", "1\n2", "{\"line\":1,\"failed\":\"limit\"}\n{\"line\":2,\"value\":2}\n", "Timeout", 1},
		{"no JSON", url, "score.js", "{\"amount\":100,\"country\":\"DE\"}\n{oops\n{}", "{\"line\":1,\"value\":1}\n", "line 2", 2},
		{"no daemon", nobody, "score.js", "{}\n{}", "", "line 1", 4},
		{"no script", url, "none.js", "{}\n{}", "", "line 1", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			command := exec.CommandContext(t.Context(), "./batch", script(t, test.script), "score")
			command.Dir = "shell-batch"
			command.Env = append(os.Environ(), "JSD_DAEMON="+test.daemon, "PATH="+filepath.Dir(jsdtest.PlainBinary(t))+":"+os.Getenv("PATH"))
			command.Stdin, command.Stdout, command.Stderr = strings.NewReader(test.input), &stdout, &stderr
			status := 0
			if err := command.Run(); err != nil {
				var exited *exec.ExitError
				if !errors.As(err, &exited) {
					t.Fatal(err)
				}
				status = exited.ExitCode()
			}
			if status != test.status || stdout.String() != test.printed {
				t.Errorf("ended with %d and printed\n%s\nwant %d and\n%s\nstandard error:\n%s",
					status, stdout.String(), test.status, test.printed, stderr.String())
			}
			if !strings.Contains(stderr.String(), test.said) {
				t.Errorf("said\n%s\nwithout %q", stderr.String(), test.said)
			}
		})
	}
}

// script gives the path of a script of the example, or of one that loops where its argument is 1.
func script(t *testing.T, name string) string {
	t.Helper()
	if name != "forever.js" {
		return name
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("function score(n) { while (n === 1) {} return n }"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
