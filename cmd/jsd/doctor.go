package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jsd-project/jsd/containers/process"
	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/tenants"
)

// What jsd doctor ends with when there is more to it than "all works".
const (
	statusProcessOnly = 1 // scripts could be run, in plain processes only
	statusNothing     = 2 // none could be run
)

// portTime bounds the wait for whatever answers on the port.
const portTime = 2 * time.Second

// doctorCommand is `jsd doctor`. Its flags are those of serve that change what is needed.
type doctorCommand struct {
	JSON   bool   `name:"json" help:"Print the same as JSON."`
	Listen string `default:"127.0.0.1:8765" env:"JSD_LISTEN" placeholder:"ADDRESS:PORT" help:"Where serve is to listen (${default})."`
	tenants.Container
	daemon.Process
}

// Help is what stands behind the flags in --help.
func (doctorCommand) Help() string {
	return `One line for each thing looked at: ok, missing or warn, what was found, and how to get what is not there. Nothing is
changed; where an engine can run containers, one is started and removed.

Exit status:

  0  scripts can be run in containers
  1  only in plain processes, which isolate nothing
  2  not at all`
}

// A finding is one line of the report.
type finding struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, missing, warn
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

const (
	stateOK      = "ok"
	stateMissing = "missing"
	stateWarn    = "warn"
)

// A report is what jsd doctor found.
type report struct {
	Version  string    `json:"version"`
	Runs     string    `json:"runs"` // containers, processes, nothing
	Status   int       `json:"status"`
	Findings []finding `json:"findings"`
}

// Run reports. An error is a *statusError.
func (c *doctorCommand) Run(ctx context.Context, s streams) error {
	r := c.examine(ctx)
	if ctx.Err() != nil {
		return &statusError{statusInterrupted, nil}
	}
	write := r.print
	if c.JSON {
		write = r.printJSON
	}
	if err := write(s.out); err != nil {
		return &statusError{statusNothing, err}
	}
	if r.Status != 0 {
		return &statusError{r.Status, nil}
	}
	return nil
}

func (c *doctorCommand) examine(ctx context.Context) report {
	r := report{Version: buildVersion()}
	found, containers := c.examineEngine(ctx)
	r.Findings = append(r.Findings, found...)
	node := c.examineNode()
	r.Findings = append(r.Findings, node)
	packages := c.examinePackages()
	r.Findings = append(r.Findings, packages...)
	r.Findings = append(r.Findings, c.examineMemory(), c.examinePort(ctx))
	processes := node.State == stateOK && (len(packages) == 0 || packages[0].State != stateMissing)
	switch {
	case containers:
		r.Runs = "containers"
	case processes:
		r.Runs, r.Status = "processes", statusProcessOnly
	default:
		r.Runs, r.Status = "nothing", statusNothing
	}
	return r
}

func (c *doctorCommand) examineNode() finding {
	node, version, err := process.FindNode(c.Node)
	if err != nil {
		return finding{"node", stateMissing, oneLine(err),
			"only --driver process needs it; containers bring their own"}
	}
	return finding{"node", stateOK, version + " at " + node + ", for --driver process", ""}
}

// examinePackages finds something only where --packages names a folder.
func (c *doctorCommand) examinePackages() []finding {
	if c.Packages == "" {
		return nil
	}
	entries, err := os.ReadDir(c.Packages)
	if err != nil {
		return []finding{{"packages", stateMissing, oneLine(err), "name a node_modules folder with --packages"}}
	}
	if len(entries) == 0 {
		return []finding{{"packages", stateWarn, c.Packages + " is empty", "npm install packages there"}}
	}
	where, _ := filepath.Abs(c.Packages)
	return []finding{{"packages", stateOK, where, ""}}
}

func (c *doctorCommand) examineMemory() finding {
	if c.Memory <= 0 {
		return finding{"memory", stateMissing, "--memory has to be above 0", ""}
	}
	total := daemon.MachineMemory()
	if total == 0 {
		return finding{"memory", stateWarn, "the system does not say how much there is", "set --max-containers"}
	}
	fit := total * 8 / 10 / c.Memory
	found := fmt.Sprintf("%d MiB, 80 %% of which hold %d containers of %d MiB", total, fit, c.Memory)
	if fit < 2 {
		return finding{"memory", stateWarn, found, "make containers smaller with --memory, or get more memory"}
	}
	return finding{"memory", stateOK, found, ""}
}

// examinePort says whether serve could listen, and who does if it could not.
func (c *doctorCommand) examinePort(ctx context.Context) finding {
	listener, err := net.Listen("tcp", c.Listen)
	if err == nil {
		if err = listener.Close(); err == nil {
			return finding{"port", stateOK, c.Listen + " is free", ""}
		}
	}
	if who := whoServes(ctx, c.Listen); who != "" {
		return finding{"port", stateOK, c.Listen + " is served by " + who, ""}
	}
	return finding{"port", stateWarn, oneLine(err), "end what listens there, or choose another with --listen"}
}

// whoServes names the jsd that answers there; empty where there is none.
func whoServes(ctx context.Context, address string) string {
	for _, scheme := range []string{"http", "https"} {
		if who := whoAnswers(ctx, scheme, address); who != "" {
			return who
		}
	}
	return ""
}

func whoAnswers(ctx context.Context, scheme, address string) string {
	ctx, cancel := context.WithTimeout(ctx, portTime)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/", nil)
	if err != nil {
		return ""
	}
	client := &http.Client{CheckRedirect: noRedirect, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // nothing is told to whoever it is, and the certificate need not be for this address
	}}
	response, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	page, _ := io.ReadAll(io.LimitReader(response.Body, 200))
	name, _, said := strings.Cut(string(page), ". ")
	if !said || !strings.HasPrefix(name, "jsd ") || strings.ContainsAny(name, "\r\n") {
		return ""
	}
	return name
}

func (r report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		line := f.Found
		if f.Remedy != "" {
			line += "; " + f.Remedy
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.State, f.Name, line)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	verdict := map[string]string{
		"containers": "Scripts can be run in containers.",
		"processes":  "Scripts can be run in plain processes only, which isolate nothing: for development.",
		"nothing":    "No script can be run here.",
	}[r.Runs]
	_, err := fmt.Fprintln(w, verdict)
	return err
}

func (r report) printJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func oneLine(err error) string {
	if err == nil {
		err = errors.New("unknown")
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
