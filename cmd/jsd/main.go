// Command jsd runs other people's code for a program. See README.md and `jsd --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker; a build without it falls back to what Go noted.
var version = ""

type commands struct {
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Serve clients (the default)."`
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

func main() {
	// A second signal ends the process at once: the context is the first one's.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)

	var cli commands
	parser := kong.Must(&cli,
		kong.Name("jsd"),
		kong.Description("Runs other people's code: a WebSocket in front, containers of each tenant's own behind."),
		kong.ShortUsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	parsed, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := parsed.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "jsd:", err)
		os.Exit(1)
	}
}
