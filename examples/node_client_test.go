// Package examples holds programs for one use of jsd each; its tests run them against a real daemon.
package examples

import (
	"context"
	"os/exec"
	"testing"
)

func TestNodeClient(t *testing.T) {
	testNodeProgram(t, "node-client", "value:")
}

func TestTypeScriptRules(t *testing.T) {
	testNodeProgram(t, "typescript-rules", "a:")
}

// testNodeProgram runs main.js of a folder and compares what it prints with what the README says.
func testNodeProgram(t *testing.T, folder, begin string) {
	node := needNode(t)
	url := serve(t, "--driver", "process", "--node", node)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := exec.CommandContext(ctx, node, "main.js", url)
	client.Dir = folder
	if got, want := run(t, client), printedInReadme(t, folder, begin); got != want {
		t.Errorf("printed\n%s\nwhere its README says\n%s", got, want)
	}
}
