package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// floods are rates with many calls in flight, in calls a second, and the cost of jsd's calls.
type floods struct {
	jsd, baseline, floor float64
	cost                 cost
}

func (b *bench) floodSteps() []step {
	return []step{
		func(ctx context.Context, p plan, r *round) error {
			return b.costOf(ctx, &r.flood.cost, p.flood, func() (err error) {
				r.flood.jsd, err = b.spare.flood(ctx, plain, warmTenant, p.flood, inFlight)
				return err
			})
		},
		func(ctx context.Context, p plan, r *round) (err error) {
			r.flood.baseline, err = b.baseline.flood(ctx, plain, warmTenant, p.flood, inFlight)
			return err
		},
		func(ctx context.Context, p plan, r *round) (err error) {
			r.flood.floor, err = b.runFloor(ctx, p.floor)
			return err
		},
	}
}

func floorRate(r *round) float64 { return r.flood.floor }

func floodFigures(rounds []round) []figure {
	name := fmt.Sprintf("warm calls, %d in flight", inFlight)
	f := figure{name: name, unit: perSecond, value: middle(rounds, func(r *round) float64 { return r.flood.jsd })}
	toBaseline, toFloor := f, f
	toBaseline.against, toBaseline.least, toBaseline.try = "(a)", atLeast(1.7), atLeast(2.1)
	toBaseline.baseline = middle(rounds, func(r *round) float64 { return r.flood.baseline })
	toFloor.against, toFloor.least, toFloor.try = "(b)", atLeast(0.75), atLeast(0.9)
	toFloor.baseline = middle(rounds, floorRate)
	return []figure{toBaseline, toFloor}
}

// runFloor returns the runs a second of baseline (b).
func (b *bench) runFloor(ctx context.Context, span time.Duration) (float64, error) {
	cmd := exec.CommandContext(ctx, b.node, filepath.Join(b.baselines, "floor.js"), strconv.FormatInt(span.Milliseconds(), 10))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("floor: %w", errors.Join(err, ctx.Err()))
	}
	var floor struct {
		PerSecond float64 `json:"perSecond"`
	}
	if err := json.Unmarshal(text, &floor); err != nil {
		return 0, fmt.Errorf("floor: %w", err)
	}
	return floor.PerSecond, nil
}
