package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A container is measured from outside, by its cgroup. So the engine has to be on this machine.
type container struct {
	cgroup string
	unused string // name of the inactive files in memory.stat, with those of the groups below
	usage  string // name of the file with the bytes in use
}

// containerOf finds the container of a tenant by running a call in it.
func (b *bench) containerOf(ctx context.Context, tenant string) (container, error) {
	r, err := b.spare.request(ctx, "runtime.execute", fmt.Sprintf(`{"code":"2","stats":true,"tenant":%q}`, tenant))
	if err != nil {
		return container{}, err
	}
	text, err := docker(ctx, "inspect", "--format", "{{.State.Pid}}", r.inside)
	if err != nil {
		return container{}, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return container{}, err
	}
	groups, err := process(pid).read("cgroup")
	if err != nil {
		return container{}, fmt.Errorf("the engine's containers are not on this machine: %w", err)
	}
	return parseCgroups(groups)
}

// parseCgroups reads /proc/PID/cgroup, which has lines NUMBER:CONTROLLERS:PATH. If version 1 of cgroups controls the
// memory, its group counts.
func parseCgroups(text string) (container, error) {
	unified := ""
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			if controller == "memory" {
				return container{filepath.Join("/sys/fs/cgroup/memory", fields[2]), "total_inactive_file", "memory.usage_in_bytes"}, nil
			}
		}
		if fields[0] == "0" {
			unified = fields[2]
		}
	}
	if unified == "" {
		return container{}, errors.New("a container has no cgroup for memory")
	}
	return container{filepath.Join("/sys/fs/cgroup", unified), "inactive_file", "memory.current"}, nil
}

// memory returns the bytes that the container uses, without inactive files, as docker stats does.
func (c container) memory() (float64, error) {
	usage, err := os.ReadFile(filepath.Join(c.cgroup, c.usage))
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(filepath.Join(c.cgroup, "memory.stat"))
	if err != nil {
		return 0, err
	}
	return lessUnused(string(usage), string(stat), c.unused)
}

func lessUnused(usage, stat, name string) (float64, error) {
	all, err := strconv.ParseFloat(strings.TrimSpace(usage), 64)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(stat) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == name {
			unused, err := strconv.ParseFloat(fields[1], 64)
			return all - unused, err
		}
	}
	return 0, fmt.Errorf("no %s in memory.stat", name)
}

// running returns the processes of the container that have a file of the agent, such as worker.js, as an argument.
func (c container) running(file string) (found []process, err error) {
	text, err := os.ReadFile(filepath.Join(c.cgroup, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		command, err := process(pid).read("cmdline")
		if err != nil {
			continue // it has ended since
		}
		if args := strings.Split(command, "\x00"); !strings.HasSuffix(args[0], "init") && contains(args, file) {
			found = append(found, process(pid))
		}
	}
	return found, nil
}

func contains(args []string, file string) bool {
	for _, arg := range args {
		if filepath.Base(arg) == file {
			return true
		}
	}
	return false
}
