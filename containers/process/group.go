package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// goneTime bounds the wait for a killed process group. The kernel needs milliseconds; a process
	// stuck in the kernel may never end.
	goneTime    = 5 * time.Second
	gonePoll    = time.Millisecond // at first; doubled each time up to
	goneMaxPoll = 50 * time.Millisecond

	// clockTick is the unit of processor times in /proc, the same on every architecture that Go knows.
	clockTick = 10 * time.Millisecond
)

var errNoTimes = errors.New("the system does not tell processor times")

// groupCPU returns the processor time of the group's processes and of the children for which they have waited.
func groupCPU(group int) (time.Duration, error) {
	found := members(group)
	if len(found) == 0 {
		return 0, errNoTimes
	}
	ticks := 0
	for _, fields := range found {
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("%w: %w", errNoTimes, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * clockTick, nil
}

// waitGone waits until the group has no process left. The workers are children of the agent, so the daemon cannot wait for
// them as it waits for the agent.
func waitGone(id string, group int) error {
	poll := gonePoll
	for begun := time.Now(); time.Since(begun) < goneTime; poll = min(2*poll, goneMaxPoll) {
		if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) || !living(group) {
			return nil
		}
		time.Sleep(poll)
	}
	return fmt.Errorf("%s was killed, but a process of its group %d is still there", id, group)
}

// living reports whether the group has a process that is not a zombie. A zombie waits for init, which some inits let take
// long. If the system has no /proc, every group counts as living.
func living(group int) bool {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return true
	}
	for _, fields := range members(group) {
		if state := fields[0]; state != "Z" && state != "X" {
			return true
		}
	}
	return false
}

// members returns, for each process of the group, the fields of its /proc entry after the name: state, parent, group and
// so on.
func members(group int) [][]string {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var found [][]string
	for _, file := range stats {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name may contain any character, including brackets.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 15 && fields[2] == strconv.Itoa(group) {
			found = append(found, fields)
		}
	}
	return found
}
