package daemon_test

import (
	"encoding/json"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jsd-project/jsd/containers/docker"
)

// An agent that was replaced by a script, or in an image, can lie about its own tenant's calls. That costs
// these calls, and nobody else notices.
func TestHostileAgent(t *testing.T) {
	liar, err := os.ReadFile("testdata/liar.js")
	if err != nil {
		t.Fatal(err)
	}
	image := imageOf(t, "liar", map[string]string{
		"Dockerfile": "FROM " + docker.DefaultImage + "\nCOPY liar.js /liar.js\nENTRYPOINT [\"node\", \"/liar.js\"]\n",
		"liar.js":    string(liar),
	})
	d := start(t, "docker", "--max-containers", "4", "--spare", "1", "--min-containers", "1",
		"--tenants", tenantsFile(t, "tenants:\n  liar: {image: "+image+", hosts: [liar.test, 169.254.169.254]}\n"))
	address := d.Address()
	neighbour := dial(t, address, "json-rpc", nil)
	call := func() {
		began := time.Now()
		got := neighbour.Execute(script{"code": "console.log(n); n + 1", "globals": script{"n": 1}, "tenant": "neighbour", "timeout": 20_000})
		if got.String() != "2" || got.Console() != `["1"]` || time.Since(began) > 20*time.Second {
			t.Errorf("the neighbour got %v %s after %v", got, got.Console(), time.Since(began))
		}
	}
	call()
	stop := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				call()
			}
		}
	})
	c := dial(t, address, "json-rpc", nil)
	begun := make(chan callback, 10_000)
	c.Answers(func(b callback) { begun <- b }) // and no more
	const lost = "1005 Sandbox lost"
	for _, lie := range []struct{ code, want string }{
		{"the truth", "42"},
		{"answers twice", "42"},
		{"answers nobody", lost},
		{"no JSON", "1008 Not serializable"},
		{"a code of the daemon's", lost},
		{"a wrong type", lost},
		{"a call", lost},
		{"a callback that was not allowed", lost},
		{"a long frame", lost},
		{"garbage", lost},
		{"prints without end", lost},
		{"callbacks without end", lost},
		{"says much elsewhere", "42"},
		{"half a frame", waits},
		{"reads no more", waits},
		{"ends", lost},
		{"a connection of nobody", lost},
		{"a connection that is not allowed", `"EACCES"`},
		{"a connection to the cloud", `"EACCES"`},
		{"a connection with a name of bytes", `"EACCES"`},
		{"connections without end", lost},
		{"data of no connection", lost},
		{"credit for nothing", lost},
		{"what the daemon says", lost},
		{"the truth", "42"},
	} {
		s := script{"code": lie.code, "tenant": "liar", "timeout": 1000}
		switch lie.code {
		case "prints without end":
			s["stream"] = true
		case "callbacks without end":
			s["callbacks"] = []string{"f"}
		}
		began := time.Now()
		if got := c.Execute(s); got.String() != lie.want {
			t.Errorf("%s: got %v, want %s", lie.code, got, lie.want)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s took %v", lie.code, took)
		}
	}
	for len(begun) > 0 {
		<-begun
	}
	// Answering each other's calls is all that a tenant's containers can do to one another.
	_, waiting := c.Start("runtime.execute", script{"code": "waits", "tenant": "liar", "timeout": 10_000, "callbacks": []string{"f"}})
	c.Begins(waiting, begun)
	if got := c.Execute(script{"code": "answers another", "tenant": "liar"}).String(); got != "42" {
		t.Errorf("got %s", got)
	}
	if got := c.Wait(waiting).String(); got != `"forged"` {
		t.Errorf("its neighbour in the container got %s", got)
	}
	close(stop)
	beside.Wait()
	call()
	_, answer := c.Start("runtime.info", script{})
	var told struct{ Modules []string }
	if err := json.Unmarshal(c.Wait(answer).Result, &told); err != nil || len(told.Modules) == 0 || slices.Contains(told.Modules, "fs") {
		t.Errorf("runtime.info repeats what the liar says: %v", told.Modules)
	}
}
