package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A process is the id of a process, which is measured from outside.
type process int

const tick = time.Second / 100 // the unit of times in /proc, on all machines

func (p process) read(file string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p, file))
	return string(text), err
}

// cpu returns the processor time that the process has used, in user mode and in the kernel.
func (p process) cpu() (time.Duration, error) {
	text, err := p.read("stat")
	if err != nil {
		return 0, err
	}
	return parseCPU(text)
}

// parseCPU adds utime and stime, the fields 14 and 15 of /proc/PID/stat. Field 2 is a name in parentheses, which may
// contain any character.
func parseCPU(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat of a process has an unknown form: %q", stat)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, err
}

// resident returns the bytes of memory of the process. peak returns the most that it had since forgetPeak.
func (p process) resident() (float64, error) { return p.memory("VmRSS:") }
func (p process) peak() (float64, error)     { return p.memory("VmHWM:") }

func (p process) forgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p), []byte("5"), 0)
}

func (p process) memory(field string) (float64, error) {
	text, err := p.read("status")
	if err != nil {
		return 0, err
	}
	return parseMemory(text, field)
}

func parseMemory(status, field string) (float64, error) {
	_, rest, _ := strings.Cut(status, field)
	line, _, _ := strings.Cut(rest, "\n")
	text, found := strings.CutSuffix(strings.TrimSpace(line), " kB")
	if !found {
		return 0, fmt.Errorf("no %s in the status of a process", field)
	}
	kib, err := strconv.ParseFloat(text, 64)
	return kib * 1024, err
}
