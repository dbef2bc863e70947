package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// results are the figures of all rounds, and those that were measured once.
type results struct {
	figures  []figure
	rounds   []round
	kinds    []script
	repeated int     // rounds
	steal    float64 // of the worst round
	long     int     // calls over which memory was watched
}

func (r *results) print(w io.Writer) {
	printTable(w, r.figures)
	fmt.Fprintln(w)
	printKinds(w, r.kinds, r.rounds)
	fmt.Fprintf(w, "\n"+legend, inFlight, steadyRate, r.long)
	fmt.Fprintf(w, "%d rounds, steal at most %.1f %%", len(r.rounds), 100*r.steal)
	if r.repeated > 0 {
		fmt.Fprintf(w, ", %d spoiled by steal and repeated", r.repeated)
	}
	if r.steal > spoiled {
		fmt.Fprint(w, ": SPOILED, do not quote these figures")
	}
	fmt.Fprintln(w, ".")
}

const legend = `(a) one Node process behind a WebSocket, a fresh vm context for each call. (b) as many processes as cores that make
contexts and run the script, no socket. (c) docker run --rm --network none --entrypoint node IMAGE -e '', the same image.
Client, daemon, containers and baselines share the cores; the tenant has 2 CPUs. A target beside a baseline is for the ratio.
Many calls at once are %d in flight on one connection; in a session they run one after another. The steady rate is %d a
second, each call's time from when it was meant to start. A daemon's own cost is that of its process: CPU of user and system,
allocations of Go. 1 MiB that goes in and comes out counts as 1 MiB. Memory of a container is what its cgroup uses, less
inactive files; of a process, what is resident. Growth over %d calls: the middle of the last tenth against that of the
second tenth, of samples each hundredth.
`

func printTable(w io.Writer, figures []figure) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tjsd\tbaseline\tratio\tat least\ttry for\tmet")
	for _, f := range figures {
		baseline, ratio := "", ""
		if f.against != "" {
			baseline, ratio = f.against+" "+f.unit.show(f.baseline), times.show(f.ratio())
		}
		_, unit := f.judged()
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.name, f.unit.show(f.value), baseline, ratio,
			f.least.show(unit), f.try.show(unit), f.met())
	}
	_ = table.Flush()
}
