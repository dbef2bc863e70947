// Command bench measures what a call costs in jsd, beside baselines in the same minutes:
//
//	(a) baseline.js  one Node process behind a WebSocket, a fresh vm context for each call
//	(b) floor.js     as many processes as cores that make contexts and run the script, no socket
//	(c) docker run   a container of the runtime image whose script is empty
//
// It also measures what modules, packages and TypeScript cost compared with plain code.
//
// Run it with make bench. Client, daemon, containers and baselines share the cores of the machine. So only the ratios
// can be compared between machines. docs/performance.md explains each line of the table.
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

// A plan says how much to measure. Each round takes every figure once.
type plan struct {
	rounds  int
	calls   int           // with 1 in flight, per round
	flood   int           // with 64 in flight, per round
	steady  int           // at the steady rate, per round
	session int           // in a session with 1 in flight, and four times as many in flight, per round
	large   int           // with a value of 1 MiB, per round
	floor   time.Duration // per round
	tenants int           // new tenants with a spare container, and as many without, per round

	kindCalls   int // of each script that is compared with the plain one: with 1 in flight, per round
	kindTenants int // new tenants with a spare container, not more than tenants, per round

	idle        int // tenants whose containers are measured, once
	connections int // once
	long        int // calls of one tenant, once
	passes      int // over the numbers of calls in flight that the plot of throughput shows
}

const million = 1_000_000

var (
	full = plan{rounds: 5, calls: 500, flood: 3000, steady: 1000, session: 2000, large: 60, floor: 2 * time.Second, tenants: 4,
		kindCalls: 100, kindTenants: 2, idle: 3, connections: 10_000, long: 100_000, passes: 3}
	quick = plan{rounds: 2, calls: 200, flood: 1000, steady: 400, session: 500, large: 20, floor: time.Second, tenants: 2,
		kindCalls: 50, kindTenants: 1, idle: 1, connections: 2000, long: 5000, passes: 1}
)

// settings come from the command line.
type settings struct {
	work  plan
	from  parts
	plots string // folder for their numbers; empty: none
}

func parse(args []string) (settings, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	short := flags.Bool("quick", false, "about a minute and a half instead of at most ten, with figures that vary more")
	long := flags.Bool("million", false, "watch memory over a million calls, not a tenth of that")
	calls := flags.Int("calls", 0, "watch memory over this many calls")
	s := settings{work: full}
	flags.StringVar(&s.plots, "plots", "", "write the numbers of the plots into this folder, for scripts/plots")
	flags.StringVar(&s.from.jsd, "jsd", "bin/jsd", "the daemon to measure")
	flags.StringVar(&s.from.image, "image", "jsd-runtime:latest", "the runtime image; this one is made where it is missing")
	flags.StringVar(&s.from.instance, "instance", "bench", "what the names of instances begin with; two runs at once need two")
	flags.StringVar(&s.from.node, "node", "node", "the Node that runs the baselines")
	flags.StringVar(&s.from.baselines, "baselines", "bench", "the folder of baseline.js and floor.js")
	flags.StringVar(&s.from.packages, "packages", "", "the node_modules folder of scripts/packages")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if *short {
		s.work = quick
	}
	if *long {
		s.work.long = million
	}
	if *calls > 0 {
		s.work.long = *calls
	}
	if s.from.packages == "" {
		return s, errors.New("-packages is missing: make bench says where they are")
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	bench, err := start(ctx, s.from)
	if err != nil {
		return err
	}
	results, err := bench.measure(ctx, s)
	if err = errors.Join(err, bench.close()); err != nil {
		return err
	}
	results.print(os.Stdout)
	return nil
}
