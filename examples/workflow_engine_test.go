package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWorkflowEngine(t *testing.T) {
	node := needNode(t)
	for _, driver := range []struct {
		name      string
		needFlags func(*testing.T) []string
	}{
		{"process", func(*testing.T) []string { return []string{"--driver", "process", "--node", node} }},
		{"docker", func(t *testing.T) []string { needRuntimeImage(t); return []string{"--driver", "docker"} }},
	} {
		t.Run(driver.name, func(t *testing.T) {
			flags := slices.Concat(driver.needFlags(t), oneContainer)
			url := serve(t, flags...)
			t.Run("lost connection", func(t *testing.T) { testLostConnection(t, node, url) })
			t.Run("crashed engine", func(t *testing.T) { testCrashedEngine(t, node, url) })
			t.Run("restarted daemon", func(t *testing.T) {
				testRestartedDaemon(t, node, url, serve(t, flags...))
			})
		})
	}
}

// A step that began stays where it is while there is no daemon.
func TestWorkflowEngineAlone(t *testing.T) {
	node, journal := needNode(t), filepath.Join(t.TempDir(), "journal")
	const begun = `{"kind":"workflow","id":"w"}` + "\n" + `{"kind":"put","key":"order","value":{}}` + "\n" + `{"kind":"begun","step":"price","boot":"b"}` + "\n"
	if err := os.WriteFile(journal, []byte(begun), 0o600); err != nil {
		t.Fatal(err)
	}
	expectWorkflow(t, 1, "nobody answers at ws://127.0.0.1:1; run the engine again to go on\n", node, "ws://127.0.0.1:1", journal)
	if text, err := os.ReadFile(journal); err != nil || string(text) != begun {
		t.Errorf("the journal is %s (%v)", text, err)
	}
}

func testLostConnection(t *testing.T, node, url string) {
	journal := filepath.Join(t.TempDir(), "journal")
	expectWorkflow(t, 0, printedInReadme(t, "workflow-engine", "price: begins"), node, url, journal)
	expectOnce(t, url, journal)
	expectWorkflow(t, 0, "price: is done already\ncharge: is done already\nship: is done already\n"+
		`shipped: ["3 × tea","1 × cup"]`+"\n", node, url, journal)
	expectOnce(t, url, journal)
}

// crashed is what an engine prints that ends in the middle of charge.
const crashed = `price: begins
price | 2 items come to 4250 cents
price: done
charge: begins
charge | asking the bank
`

func testCrashedEngine(t *testing.T, node, url string) {
	journal := filepath.Join(t.TempDir(), "journal")
	expectWorkflow(t, 1, crashed, node, url, journal, "crash")
	expectWorkflow(t, 0, `price: is done already
charge: asks for its outcome
charge | the bank took 4250 cents
charge: done
ship: begins
ship | packed [ '3 × tea', '1 × cup' ]
ship: done
shipped: ["3 × tea","1 × cup"]
`, node, url, journal)
	expectOnce(t, url, journal)
}

// What a daemon knew is gone with it: another stands for the one that was restarted.
func testRestartedDaemon(t *testing.T, node, url, another string) {
	journal := filepath.Join(t.TempDir(), "journal")
	expectWorkflow(t, 1, crashed, node, url, journal, "crash")
	for range 2 {
		expectWorkflow(t, 1, `price: is done already
charge: asks for its outcome
charge: outcome unknown, the daemon was restarted; it may have run or not, and is not run again
`, node, another, journal)
	}
	if got, want := counts(readJournal(t, journal)), "begun charge, begun price, done price, put charge, put order, put total"; got != want {
		t.Errorf("the journal has %s, want %s", got, want)
	}
}

// expectWorkflow runs the engine.
func expectWorkflow(t *testing.T, status int, want, node string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	engine := exec.CommandContext(ctx, node, append([]string{"main.js"}, arguments...)...)
	engine.Dir = "workflow-engine"
	engine.Env = append(os.Environ(), "BANK_KEY=the key of the bank")
	var stdout, stderr bytes.Buffer
	engine.Stdout, engine.Stderr = &stdout, &stderr
	err := engine.Run()
	if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	if got := engine.ProcessState.ExitCode(); got != status || stdout.String() != want || stderr.Len() > 0 {
		t.Fatalf("ended with %d and printed\n%s\nwant %d and\n%s\nstandard error:\n%s", got, stdout.String(), status, want, stderr.String())
	}
}

// A record is a line of the journal.
type record struct {
	Kind, ID, Step, Key string
	Value               json.RawMessage
}

func readJournal(t *testing.T, file string) []record {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("the key of the bank")) {
		t.Error("the journal has the secret")
	}
	var records []record
	for line := range bytes.Lines(text) {
		var one record
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		records = append(records, one)
	}
	return records
}

// counts names, in order, what began, ended and was put; what came twice is there twice.
func counts(records []record) string {
	var names []string
	for _, one := range records {
		switch one.Kind {
		case "begun", "done":
			names = append(names, one.Kind+" "+one.Step)
		case "put":
			names = append(names, "put "+one.Key)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// expectOnce wants each step to have begun, ended and written once, and the outcome of charge in the
// journal to be that of its one run, which the daemon still has.
func expectOnce(t *testing.T, url, journal string) {
	t.Helper()
	records := readJournal(t, journal)
	const want = "begun charge, begun price, begun ship, done charge, done price, done ship, put charge, put order, put shipment, put total"
	if got := counts(records); got != want {
		t.Errorf("the journal has %s, want %s", got, want)
	}
	charge := records[slices.IndexFunc(records, func(one record) bool { return one.Kind == "done" && one.Step == "charge" })]
	again := execute(t, url, map[string]any{"code": "'ran again'", "tenant": "shop", "execution": records[0].ID + ".charge"})
	if again.Code != 0 || !bytes.Equal(again.Value, charge.Value) || !bytes.Contains(charge.Value, []byte(`"receipt":"`)) {
		t.Errorf("the journal has %s, the daemon %s (%d %s)", charge.Value, again.Value, again.Code, again.Said)
	}
}
