// Command bench measures what a call costs in jsd, beside two baselines in the same run:
//
//	(a) baseline.js  one Node process behind a WebSocket, a fresh vm context for each call
//	(b) floor.js     as many processes as cores that make contexts and run the script, no socket
//
// and what modules, packages and TypeScript cost beside plain code.
//
// Run it with make bench. Client, daemon, containers and baselines share the cores of the machine, so
// only the ratios travel from one machine to another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A plan is how much to measure. Each round takes every figure once.
type plan struct {
	rounds  int
	calls   int           // with 1 in flight, per round
	flood   int           // with 64 in flight, per round
	floor   time.Duration // per round
	tenants int           // new ones with a spare, and as many without, per round

	kindCalls   int // of each script that is set against the plain one: with 1 in flight, per round
	kindTenants int // new ones with a spare, at most tenants, per round
}

var (
	full  = plan{rounds: 5, calls: 500, flood: 3000, floor: 2 * time.Second, tenants: 4, kindCalls: 100, kindTenants: 2}
	quick = plan{rounds: 2, calls: 200, flood: 1000, floor: time.Second, tenants: 2, kindCalls: 50, kindTenants: 1}
)

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	short := flags.Bool("quick", false, "about a minute instead of about four")
	var from parts
	flags.StringVar(&from.jsd, "jsd", "bin/jsd", "the daemon to measure")
	flags.StringVar(&from.node, "node", "node", "the Node that runs the baselines")
	flags.StringVar(&from.baselines, "baselines", "bench", "the folder of baseline.js and floor.js")
	flags.StringVar(&from.packages, "packages", "", "the node_modules folder of scripts/packages")
	_ = flags.Parse(args) // ends the program by itself

	work := full
	if *short {
		work = quick
	}
	if from.packages == "" {
		return errors.New("-packages is missing: make bench says where they are")
	}
	bench, err := start(ctx, from)
	if err != nil {
		return err
	}
	figures, err := bench.rounds(ctx, work)
	if err = errors.Join(err, bench.close()); err != nil {
		return err
	}
	figures.print(os.Stdout, bench.kinds)
	return nil
}
