// Command jsd runs other people's code for a program. See README.md and `jsd --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// version is set by the linker; a build without it falls back to what Go noted.
var version = ""

type commands struct {
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Serve clients (the default)."`
	Exec    execCommand    `cmd:"" help:"Run a script."`
	Doctor  doctorCommand  `cmd:"" help:"Say what is missing here, and how to get it."`
	Status  statusCommand  `cmd:"" help:"Show tenants, containers and queues of a running daemon."`
	Image   imageCommands  `cmd:"" help:"The image that containers run."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

type versionCommand struct{}

func (versionCommand) Run() error {
	fmt.Println("jsd", buildVersion())
	return nil
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// sameSignal is for how long another signal is the first one again: timeout(1) and its like send one to the
// process and one to its group.
const sameSignal = time.Second

func main() {
	// A second signal ends the process at once, and leaves what it has: the context is the first one's.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })

	var cli commands
	parser := kong.Must(&cli,
		kong.Name("jsd"),
		kong.Description("Runs other people's code: a WebSocket in front, containers of each tenant's own behind."),
		kong.ShortUsageOnError(),
		kong.Exit(exit),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams{os.Stdin, os.Stdout, os.Stderr}),
	)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	os.Exit(status(parsed.Run(), os.Stderr))
}

// streams are where a command reads and writes.
type streams struct {
	in       *os.File
	out, err io.Writer
}

// A statusError ends the process with a status of its own. With no error inside, all has been said.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %v", e.status, e.err) }
func (e *statusError) Unwrap() error { return e.err }

// status says what went wrong, and gives the status to end with.
func status(err error, w io.Writer) int {
	var own *statusError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		if own.err != nil {
			fmt.Fprintln(w, "jsd:", own.err)
		}
		return own.status
	case errors.Is(err, context.Canceled): // by a signal
		return 0
	default:
		fmt.Fprintln(w, "jsd:", err)
		return 1
	}
}

// exit is for the command line's parser, whose own number for bad usage is nobody's custom.
func exit(status int) {
	if status != 0 {
		status = statusUsage
	}
	os.Exit(status)
}
