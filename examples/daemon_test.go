package examples

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	goleak.VerifyTestMain(m)
}

// patience is for what takes a second or two on a machine that has time for it.
const patience = time.Minute

// missing skips the test where it cannot run, unless nothing may be left out.
func missing(t *testing.T, why string, err error) {
	t.Helper()
	if os.Getenv("JSD_TEST_REQUIRE") == "all" {
		t.Fatalf("%s: %v", why, err)
	}
	t.Skipf("%s: %v", why, err)
}

// needNode gives a Node for the process driver and for clients.
func needNode(t *testing.T) string {
	t.Helper()
	node := os.Getenv("JSD_NODE")
	if node == "" {
		node = "node"
	}
	const recent = "const [a, b] = process.versions.node.split('.'); process.exit(a > 24 || a == 24 && b >= 8 ? 0 : 1)"
	if err := exec.Command(node, "-e", recent).Run(); err != nil {
		missing(t, "needs Node 24.8 or newer as JSD_NODE or in PATH", err)
	}
	return node
}

// buildJSD gives the binary.
func buildJSD(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "jsd")
	run(t, exec.Command("go", "build", "-buildvcs=false", "-o", binary, "../cmd/jsd"))
	return binary
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

var address = regexp.MustCompile(`ws://127\.0\.0\.1:\d+`)

// startDaemon serves on a free port until the end of the test, and gives the address.
func startDaemon(t *testing.T, binary string, flags ...string) string {
	t.Helper()
	reader, writer := io.Pipe()
	daemon := exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...)
	daemon.Stdout, daemon.Stderr = writer, writer
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := daemon.Wait()
		_ = writer.Close()
		ended <- err
	}()
	url := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		scanLines(t, reader, url)
	}()
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		killer := time.AfterFunc(patience, func() { _ = daemon.Process.Kill() })
		defer killer.Stop()
		if err := <-ended; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		<-read
	})
	select {
	case found := <-url:
		return found
	case <-read:
		t.Fatal("the daemon ended without an address")
	case <-time.After(patience):
		t.Fatal("the daemon printed no address")
	}
	return ""
}

// scanLines logs what the daemon prints and sends the first address in it.
func scanLines(t *testing.T, printed io.Reader, url chan<- string) {
	lines := bufio.NewScanner(printed)
	found := false
	for lines.Scan() {
		t.Log(lines.Text())
		if match := address.FindString(lines.Text()); match != "" && !found {
			found = true
			url <- match
		}
	}
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
