// Package examples holds programs for one use of jsd each; its tests run them against a real daemon.
package examples

import (
	"bufio"
	"bytes"
	"context"
	"io"
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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what takes a second or two on a machine that has time for it.
const patience = time.Minute

func TestNodeClient(t *testing.T) {
	node := findNode(t)
	url := startDaemon(t, node)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := exec.CommandContext(ctx, node, "main.js", url)
	client.Dir = "node-client"
	var stdout, stderr bytes.Buffer
	client.Stdout, client.Stderr = &stdout, &stderr
	if err := client.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if got, want := stdout.String(), printedInReadme(t); got != want {
		t.Errorf("printed\n%s\nwhere its README says\n%s", got, want)
	}
}

// printedInReadme is the second of the indented blocks: what the program is said to print.
func printedInReadme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("node-client", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, block := range strings.Split(string(text), "\n\n") {
		if !strings.HasPrefix(block, "    value:") {
			continue
		}
		for line := range strings.Lines(block + "\n") {
			printed.WriteString(strings.TrimPrefix(line, "    "))
		}
	}
	return printed.String()
}

// findNode skips the test where there is no Node for the process driver, unless nothing may be left out.
func findNode(t *testing.T) string {
	t.Helper()
	node := os.Getenv("JSD_NODE")
	if node == "" {
		node = "node"
	}
	const recent = "process.exit(parseInt(process.versions.node) >= 24 ? 0 : 1)"
	if err := exec.Command(node, "-e", recent).Run(); err != nil {
		if os.Getenv("JSD_TEST_REQUIRE") == "all" {
			t.Fatalf("needs Node 24 or newer as JSD_NODE or in PATH: %v", err)
		}
		t.Skipf("needs Node 24 or newer as JSD_NODE or in PATH: %v", err)
	}
	return node
}

var address = regexp.MustCompile(`ws://127\.0\.0\.1:\d+`)

// startDaemon builds jsd, serves on a free port until the end of the test, and gives the address.
func startDaemon(t *testing.T, node string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "jsd")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "../cmd/jsd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	reader, writer := io.Pipe()
	daemon := exec.Command(binary, "serve", "--driver", "process", "--listen", "127.0.0.1:0", "--node", node)
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
