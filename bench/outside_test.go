package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseCPU(t *testing.T) {
	got, err := parseCPU("17 (a) b) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 5 0 1 1 1")
	if err != nil || got != 3*time.Second {
		t.Errorf("cpu = %v, %v, want 3s", got, err)
	}
	if _, err := parseCPU("17 (a) S 1 2"); err == nil {
		t.Error("a short line was taken for stat")
	}
}

func TestParseMemory(t *testing.T) {
	const status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	for field, want := range map[string]float64{"VmRSS:": 1 << 20, "VmHWM:": 2 << 20} {
		if got, err := parseMemory(status, field); err != nil || got != want {
			t.Errorf("%s %v, %v, want %v", field, got, err, want)
		}
	}
	if _, err := parseMemory(status, "VmSwap:"); err == nil {
		t.Error("a field that is not there was found")
	}
}

func TestProcessLooksAtItself(t *testing.T) {
	self := process(os.Getpid())
	resident, err := self.resident()
	if err != nil {
		t.Fatal(err)
	}
	peak, err := self.peak()
	if err != nil {
		t.Fatal(err)
	}
	if resident <= 0 || peak < resident {
		t.Errorf("resident %v, peak %v", resident, peak)
	}
	if _, err := self.cpu(); err != nil {
		t.Error(err)
	}
}

func TestParseCgroups(t *testing.T) {
	for _, c := range []struct{ name, text, folder, usage string }{
		{"first version", "9:name=systemd:/docker/x\n4:memory:/docker/x\n0::/docker/y\n", "/sys/fs/cgroup/memory/docker/x", "memory.usage_in_bytes"},
		{"several controllers together", "4:cpu,memory:/docker/x\n", "/sys/fs/cgroup/memory/docker/x", "memory.usage_in_bytes"},
		{"second version", "0::/system.slice/docker-x.scope\n", "/sys/fs/cgroup/system.slice/docker-x.scope", "memory.current"},
	} {
		got, err := parseCgroups(c.text)
		if err != nil || got.cgroup != c.folder || got.usage != c.usage {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	if _, err := parseCgroups("4:cpu:/docker/x\n"); err == nil {
		t.Error("a cgroup without memory was taken")
	}
}

func TestMemoryLeavesOutUnusedFiles(t *testing.T) {
	const stat = "cache 500\ninactive_file 0\ntotal_inactive_file 300\n"
	if got, err := lessUnused("1000\n", stat, "total_inactive_file"); err != nil || got != 700 {
		t.Errorf("%v, %v, want 700", got, err)
	}
	if _, err := lessUnused("1000\n", "cache 500\n", "inactive_file"); err == nil {
		t.Error("files were left out that nobody counted")
	}
}

func TestMetric(t *testing.T) {
	const text = "# HELP a_total_more x\na_total_more 1\na_total 1.5e+06\n"
	if got, err := metric(strings.NewReader(text), "a_total"); err != nil || got != 1.5e6 {
		t.Errorf("%v, %v, want 1.5e6", got, err)
	}
	if _, err := metric(strings.NewReader(text), "b_total"); err == nil {
		t.Error("a metric that is not there was found")
	}
}
