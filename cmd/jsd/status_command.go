package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/jsd-project/jsd/daemon"
)

const (
	statusTime = 10 * time.Second // for the daemon to answer
	statusSize = 16 << 20         // bytes of its answer
)

// statusCommand is `jsd status`.
type statusCommand struct {
	Admin string `default:"127.0.0.1:8766" env:"JSD_ADMIN_LISTEN" placeholder:"ADDRESS:PORT" help:"What the daemon has as --admin-listen (${default})."`
	JSON  bool   `name:"json" help:"Print the same as JSON."`
}

// Help is what stands behind the flags in --help.
func (statusCommand) Help() string {
	return `Shows tenants, containers and queues of a daemon that runs with --admin-listen, those with the most calls first. Times in JSON are milliseconds.

Exit status:

  0  the daemon answered
  4  no daemon did`
}

// Run asks the daemon. An error is a *statusError.
func (c *statusCommand) Run(ctx context.Context, s streams) error {
	body, err := c.ask(ctx)
	if ctx.Err() != nil {
		return &statusError{statusInterrupted, nil}
	}
	var r daemon.Status
	if err == nil && (json.Unmarshal(body, &r) != nil || r.Version == "") {
		err = c.notAdmin("what it says is no status")
	}
	if err == nil && c.JSON {
		_, err = s.out.Write(body)
	} else if err == nil {
		err = printStatus(s.out, r)
	}
	if err != nil {
		return &statusError{statusJSD, err}
	}
	return nil
}

func (c *statusCommand) ask(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Admin+"/status", nil)
	if err != nil || request.URL.Port() == "" {
		return nil, fmt.Errorf("--admin %s: has to be ADDRESS:PORT, such as %s", c.Admin, daemon.DefaultAdmin)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: noRedirect}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no daemon answers on %s: start one with --admin-listen %s, or name the address of one that runs with --admin", c.Admin, c.Admin)
	case err != nil:
		return nil, fmt.Errorf("asking the daemon on %s: %s", c.Admin, oneLine(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, statusSize))
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking the daemon on %s: %s", c.Admin, oneLine(err))
	case response.StatusCode != http.StatusOK:
		return nil, c.notAdmin(response.Status)
	}
	return body, nil
}

func (c *statusCommand) notAdmin(why string) error {
	return fmt.Errorf("what answers on %s is not what jsd serves with --admin-listen (%s): name that address with --admin", c.Admin, why)
}

// print writes columns for people.
func printStatus(w io.Writer, r daemon.Status) error {
	ready := "ready"
	if r.NotReady != "" {
		ready = "not ready: " + r.NotReady
	}
	fmt.Fprintf(w, "jsd %s on %s, %s driver, up %s, %s\n", r.Version, r.Listen, r.Driver, span(r.Uptime), ready)
	fmt.Fprintf(w, "calls: %d running, %d waiting, %d ended, %d refused; connections: %d; sessions: %d\n",
		r.Calls.Running, r.Calls.Waiting, r.Calls.Ended, r.Calls.Refused, r.Connections, r.Sessions)
	fmt.Fprintf(w, "containers: %d starting, %d spare, %d idle, %d busy, %d closing; at most %d\n",
		r.Counts.Starting, r.Counts.Spare, r.Counts.Idle, r.Counts.Busy, r.Counts.Closing, r.Counts.Max)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Tenants) > 0 {
		fmt.Fprint(table, "\nTENANT\tPROFILE\tCONTAINERS\tRUNNING\tWAITING\tOLDEST\n")
	}
	for _, t := range r.Tenants {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\n", t.Name, cmp.Or(t.Profile, "-"), t.Containers, t.Running, t.Waiting, span(t.OldestWait))
	}
	moreThan(table, r.LeftOut.Tenants, "tenants")
	if err := table.Flush(); err != nil {
		return err
	}
	if len(r.Containers) > 0 {
		fmt.Fprint(table, "\nCONTAINER\tSTATE\tTENANT\tPROFILE\tRUNNING\tSESSIONS\tCALLS\tAGE\n")
	}
	for _, c := range r.Containers {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", c.ID, c.State, cmp.Or(c.Tenant, "-"), cmp.Or(c.Profile, "-"), c.Running, c.Sessions, c.Calls, span(c.Age))
	}
	moreThan(table, r.LeftOut.Containers, "containers")
	return table.Flush()
}

func moreThan(w io.Writer, n int, what string) {
	if n > 0 {
		fmt.Fprintf(w, "and %d more %s with fewer calls\n", n, what)
	}
}

// span writes milliseconds as people read them; none is a dash.
func span(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d == 0:
		return "-"
	case d < time.Second:
		return d.String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
