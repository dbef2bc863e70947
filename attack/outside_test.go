package attack

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// fileMarker names all files that scripts try to make, so that they can be looked for.
const fileMarker = "left-by-a-jsd-attack"

// outside is what scripts would find on the machine, could they reach it: a server that a policy allows, one
// that none does, and one that is listed where its address may not be reached.
type outside struct {
	allowedPort   string
	forbiddenPort string
	listedPort    string       // by name, in a policy that has no networks
	reached       atomic.Int64 // connections to the latter two
}

func listenOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{}
	listen := func(handler http.HandlerFunc, counts bool) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler}
		if counts {
			server.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					o.reached.Add(1)
				}
			}
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = server.Serve(listener)
		}()
		t.Cleanup(func() {
			_ = server.Close()
			<-ended
		})
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		return port
	}
	o.forbiddenPort = listen(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "forbidden") }, true)
	o.listedPort = listen(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "listed") }, true)
	o.allowedPort = listen(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "http://127.0.0.1:"+o.forbiddenPort+"/", http.StatusFound)
			return
		}
		fmt.Fprint(w, "allowed")
	}, false)
	return o
}

// named puts the ports into a script.
func (o *outside) named(code string) string {
	return strings.NewReplacer("$ALLOWED", o.allowedPort, "$FORBIDDEN", o.forbiddenPort, "$LISTED", o.listedPort, "MARKER", fileMarker).Replace(code)
}
