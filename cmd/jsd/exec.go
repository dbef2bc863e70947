package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/tenants"
)

// execCommand is `jsd exec`. Flags that are pointers tell what was left out from what is empty.
type execCommand struct {
	File string `arg:"" help:"The script; - reads it from standard input. With --folder its entry, relative to the folder."`

	Call     *string       `placeholder:"NAME" help:"Function of the script to call, with a callback for its value. Default: the value is that of the last expression."`
	Args     *string       `placeholder:"JSON" help:"Array of arguments for the function; with it the value is what the function returns."`
	Globals  *string       `placeholder:"JSON" help:"Object whose keys become globals."`
	Caller   *string       `placeholder:"SOURCE|@FILE" help:"Source of function(callee, cb), which calls the function in its own way."`
	Folder   string        `placeholder:"DIR" help:"Send a folder of modules. Symbolic links, node_modules, files that are not text and names that begin with a dot stay behind."`
	Language string        `enum:",javascript,typescript" default:"" placeholder:"LANGUAGE" help:"javascript or typescript. Default: by the name of the file."`
	Tenant   string        `placeholder:"NAME" help:"Whose container it runs in."`
	Timeout  time.Duration `placeholder:"TIME" help:"Wall time it may take, such as 500ms or 10s. Default: the daemon's, 3s."`
	Raw      bool          `help:"Print a value that is a string without quotes."`

	Daemon string `env:"JSD_DAEMON" placeholder:"ADDRESS" help:"A running jsd, as HOST:PORT or URL. Without it the script gets a container of its own, which is removed behind it."`
	Secret string `env:"JSD_SECRET,SECRET" placeholder:"SECRET" help:"What that daemon wants in x-runtime-secret. Better given by the environment."`
	Token  string `env:"JSD_TOKEN" placeholder:"TOKEN" help:"Token that says whose the script is, for a daemon that takes them. Better given by the environment."`

	Driver            string `group:"Without --daemon" default:"auto" enum:"auto,docker,process" env:"JSD_DRIVER" help:"docker, process (no isolation), or auto: docker where an engine answers."`
	tenants.Container `group:"Without --daemon"`
	daemon.Process    `group:"Without --daemon"`
	tenants.Network   `group:"Without --daemon"`
}

// Help is what stands behind the flags in --help.
func (execCommand) Help() string {
	return `The value goes to standard output as JSON, console lines and errors to standard error.

Exit status:

  0    the script came to a value
  1    the script failed: it threw, the function does not exist, or the value has no JSON form
  2    bad usage or input
  3    a limit or the timeout ended it, or somebody cancelled it
  4    jsd could not run it: no daemon, no container, busy, forbidden, container lost
  130  interrupted`
}

// Run runs the script and prints what came of it, once nothing of it is left. An error is a *statusError.
func (c *execCommand) Run(ctx context.Context, s streams) error {
	params, err := c.script(s)
	if err != nil {
		return &statusError{statusUsage, err}
	}
	answer, err := c.execute(ctx, params)
	if ctx.Err() != nil {
		return &statusError{statusInterrupted, nil}
	}
	if err != nil {
		return err
	}
	return answer.print(s, c.Raw)
}

func (c *execCommand) execute(ctx context.Context, params *execParams) (*answer, error) {
	if c.Daemon == "" {
		return c.executeAlone(ctx, params)
	}
	endpoint, err := endpointOf(c.Daemon)
	if err != nil {
		return nil, &statusError{statusUsage, err}
	}
	return newCaller(endpoint, c.Secret, c.Token, nil).execute(ctx, params)
}

// endpointOf is where a daemon takes requests, by its address or by any URL of it.
func endpointOf(daemon string) (string, error) {
	if !strings.Contains(daemon, "://") {
		daemon = "http://" + daemon
	}
	u, err := url.Parse(daemon)
	if err != nil {
		return "", fmt.Errorf("--daemon: %w", err)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("--daemon %s: has to be HOST:PORT, or a URL that begins with ws, wss, http or https", daemon)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/rpc") + "/rpc"
	return u.String(), nil
}

// executeAlone serves nobody but the script: a daemon with one container and no port.
func (c *execCommand) executeAlone(ctx context.Context, params *execParams) (*answer, error) {
	settings, err := c.settings()
	if err != nil {
		return nil, &statusError{statusUsage, err}
	}
	// Starting is tried again and again for a daemon's clients; one script better hears why it fails.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	listener := daemon.NewMemoryListener()
	d := daemon.New(settings, daemon.Options{Version: buildVersion(), Log: newLog(settings.LogLevel), Listener: listener, StartFailed: cancel})
	if err := d.Open(ctx); err != nil {
		return nil, &statusError{statusJSD, err}
	}
	answer, err := newCaller("http://localhost/rpc", "", "", listener.Dial).execute(ctx, params)
	if err != nil && ctx.Err() != nil {
		err = &statusError{statusJSD, context.Cause(ctx)}
	}
	if closeErr := d.Close(); closeErr != nil {
		err = &statusError{statusJSD, errors.Join(err, closeErr)}
	}
	return answer, err
}

// settings are what `jsd serve` would have here, but for what one script needs less of.
func (c *execCommand) settings() (*daemon.Settings, error) {
	var serve daemon.Settings
	parser, err := kong.New(&serve)
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(nil); err != nil {
		return nil, err
	}
	serve.Driver, serve.Container, serve.Process, serve.Network, serve.Tenants = c.Driver, c.Container, c.Process, c.Network, ""
	serve.Listen, serve.AdminListen, serve.Origin, serve.Host = "127.0.0.1:0", "", nil, nil // nothing listens
	serve.Credentials, serve.TLS = daemon.Credentials{}, daemon.TLS{}
	serve.Instance = fmt.Sprintf("exec-%d-%s", os.Getpid(), rand.Text()) // sweeps nobody's containers
	serve.MinContainers, serve.Spare, serve.MaxContainers, serve.Concurrency = 0, 0, 1, 1
	if serve.LogLevel == "" {
		serve.LogLevel = "warn"
	}
	if err := serve.Resolve(os.Getenv); err != nil {
		return nil, err
	}
	serve.Traces = false // it is no service
	serve.MaxTimeout = max(serve.MaxTimeout, c.Timeout)
	return &serve, nil
}
