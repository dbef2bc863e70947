package docker

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// What the engine says of a container that it runs.
func TestBaselineAsInspected(t *testing.T) {
	d, engine := needDriver(t)
	inspected, err := engine.ContainerInspect(t.Context(), start(t, d).ID(), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, h := inspected.Container.Config, inspected.Container.HostConfig
	ulimits := make(map[string]container.Ulimit)
	for _, u := range h.Ulimits {
		ulimits[u.Name] = *u
	}
	var mounted []string
	for _, m := range inspected.Container.Mounts {
		mounted = append(mounted, m.Destination)
	}
	slices.Sort(mounted)
	const memory = int64(256 << 20)
	tests := []struct {
		line      string
		got, want any
	}{
		{"user", c.User, "65534:65534"},
		{"capabilities dropped", h.CapDrop, []string{"ALL"}},
		{"capabilities added", len(h.CapAdd), 0},
		{"privileged", h.Privileged, false},
		{"security options", h.SecurityOpt, []string{"no-new-privileges", d.seccomp}},
		{"read-only root", h.ReadonlyRootfs, true},
		{"tmpfs", h.Tmpfs, map[string]string{"/tmp": "rw,noexec,nosuid,nodev,size=16m,nr_inodes=4096,mode=1777"}},
		{"network", h.NetworkMode, container.NetworkMode("none")},
		{"IPC", h.IpcMode, container.IpcMode("none")},
		{"PID namespace of its own", h.PidMode, container.PidMode("")},
		{"host name space of its own", h.UTSMode, container.UTSMode("")},
		{"host name", c.Hostname, "sandbox"},
		{"memory", h.Memory, memory},
		{"memory and swap", h.MemorySwap, memory},
		{"OOM killer", h.OomKillDisable == nil || !*h.OomKillDisable, true},
		{"CPUs", h.NanoCPUs, int64(1e9)},
		{"pids", *h.PidsLimit, int64(128)},
		{"open files", ulimits["nofile"], container.Ulimit{Name: "nofile", Soft: 1024, Hard: 1024}},
		{"core dumps", ulimits["core"], container.Ulimit{Name: "core"}},
		{"logs", h.LogConfig.Type, "none"},
		{"init", h.Init != nil && *h.Init, true},
		{"label", c.Labels[InstanceLabel], d.config.Instance},
		{"label of the image's name", c.Labels[ImageLabel], DefaultImage},
		{"image by its ID", c.Image, d.spec.ImageID},
		{"mounts", len(h.Binds) + len(h.VolumesFrom), 0},
		{"pipes", mounted, []string{pipeIn, pipeOut}},
		{"devices", len(h.Devices) + len(h.DeviceRequests), 0},
		{"removed at its end", h.AutoRemove, true},
		{"restarted", h.RestartPolicy.IsNone(), true},
		{"stop timeout", *c.StopTimeout, 1},
		{"health check", c.Healthcheck.Test, []string{"NONE"}},
		{"terminal", c.Tty, false},
		{"entry point is the image's", c.Entrypoint, []string{"node", "--single-threaded-gc", "--max-semi-space-size=4", "/opt/jsd/agent/agent.js"}},
	}
	for _, test := range tests {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: got %#v, want %#v", test.line, test.got, test.want)
		}
	}
}

// What somebody inside finds.
func TestBaselineAsSeenInside(t *testing.T) {
	d, engine := needDriver(t)
	id := start(t, d).ID()
	tests := []struct{ name, command, want string }{
		{"user", `id -u; id -g`, "65534\n65534"},
		{"groups", `id -G`, "65534"},
		{"no capabilities", `grep -h -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/1/status | tr -d '0\t' | sort -u`, "CapAmb:\nCapBnd:\nCapEff:\nCapPrm:"},
		{"no new privileges", `grep NoNewPrivs /proc/1/status | tr '\t' ' '`, "NoNewPrivs: 1"},
		{"seccomp filter on", `grep Seccomp: /proc/1/status | tr '\t' ' '`, "Seccomp: 2"},
		{"root mounted read-only", `grep ' / ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1`, "ro"},
		{"root not writable", `touch /x 2>/dev/null || echo no`, "no"},
		{"agent not writable", `touch /opt/jsd/agent/agent.js 2>/dev/null || echo no`, "no"},
		{"agent's modes", `stat -c '%u:%g %a' /opt/jsd /opt/jsd/agent /opt/jsd/agent/agent.js`, "0:0 755\n0:0 755\n0:0 644"},
		{"/tmp writable", `echo a >/tmp/a && cat /tmp/a`, "a"},
		{"/tmp not executable", `cp /bin/true /tmp/true && /tmp/true 2>/dev/null || echo no`, "no"},
		{"/tmp options", `grep ' /tmp ' /proc/mounts | grep -o -E 'nosuid|nodev|noexec|size=16384k|nr_inodes=[0-9]+|mode=1777' | sort | tr '\n' ' '; stat -c %a /tmp`,
			"nodev noexec nosuid nr_inodes=4096 size=16384k 1777"},
		{"/tmp bounded", `head -c 17m /dev/zero 2>/dev/null >/tmp/full || echo no`, "no"},
		{"no shared memory", `ls /dev/shm 2>/dev/null || echo no`, "no"},
		{"only the loopback", `tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '`, "lo"},
		{"open files", `ulimit -n; ulimit -Hn`, "1024\n1024"},
		{"no core dumps", `ulimit -Hc`, "0"},
		{"an init that reaps", `tr '\0' ' ' </proc/1/cmdline | grep -c -E 'init'`, "1"},
		{"no engine socket", `ls /var/run/docker.sock /run/docker.sock 2>/dev/null || echo no`, "no"},
		{"pipes", `stat -c '%F %a' /run/jsd/in /run/jsd/out`, "fifo 666\nfifo 666"},
		{"nothing beside the pipes", `cd /run/jsd && { touch x || mkfifo x || rm in || mv in out || chmod 600 in || ln in x; } 2>/dev/null || echo no`, "no"},
		{"production", `echo $NODE_ENV`, "production"},
		{"npm for images made of this one", `command -v npm >/dev/null && echo yes`, "yes"},
	}
	for _, test := range tests {
		if got := inside(t, engine, id, test.command); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// An image made of the runtime image may end as root, as after npm install -g.
func TestImageDoesNotChooseItsUser(t *testing.T) {
	_, engine := needDriver(t)
	d := newDriver(t, engine, buildFrom(t, engine, "USER 0:0"))
	if got := inside(t, engine, start(t, d).ID(), "grep Uid /proc/1/status | tr -s '\\t' ' '"); got != "Uid: 65534 65534 65534 65534" {
		t.Errorf("got %q", got)
	}
}

// The kernel's own view of limits that only a cgroup shows.
func TestBaselineInTheCgroup(t *testing.T) {
	d, engine := needDriver(t)
	id := start(t, d).ID()
	const files = `cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.swap.max /sys/fs/cgroup/pids.max 2>/dev/null ||
		cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes /sys/fs/cgroup/pids/pids.max`
	got := strings.Fields(inside(t, engine, id, files))
	v2 := []string{"268435456", "0", "128"}
	v1 := []string{"268435456", "268435456", "128"}
	if !reflect.DeepEqual(got, v1) && !reflect.DeepEqual(got, v2) {
		t.Errorf("got %v", got)
	}
}
