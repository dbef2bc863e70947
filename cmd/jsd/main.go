// Command jsd runs other people's code for a program. See README.md and `jsd --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type commands struct {
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Serve clients (the default)."`
	Exec    execCommand    `cmd:"" help:"Run a script."`
	Doctor  doctorCommand  `cmd:"" help:"Say what is missing here, and how to get it."`
	Status  statusCommand  `cmd:"" help:"Show tenants, containers and queues of a running daemon."`
	Image   imageCommands  `cmd:"" help:"The image that containers run."`
	Version versionCommand `cmd:"" help:"Print the version."`
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
