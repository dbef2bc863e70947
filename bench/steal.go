package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

// spoiled is the share of processor time that the hypervisor may take from a round. With more, the figures of the
// round tell more about other virtual machines than about the daemon.
const spoiled = 0.05

// cpuTime is the processor time in /proc/stat since the machine started, in ticks, of all cores together.
type cpuTime struct{ total, stolen uint64 }

func readCPUTime() (cpuTime, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTime{}, err
	}
	return parseCPUTime(string(text))
}

// parseCPUTime reads the first line: cpu user nice system idle iowait irq softirq steal guest …. The time of guest is
// part of user.
func parseCPUTime(stat string) (cpuTime, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return cpuTime{}, errors.New("/proc/stat has an unknown form")
	}
	var t cpuTime
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return cpuTime{}, err
		}
		t.total += ticks
		if i == 7 {
			t.stolen = ticks
		}
	}
	return t, nil
}

// stealSince returns the share of stolen time since an earlier reading.
func (t cpuTime) stealSince(earlier cpuTime) float64 {
	if t.total <= earlier.total {
		return 0
	}
	return float64(t.stolen-earlier.stolen) / float64(t.total-earlier.total)
}
