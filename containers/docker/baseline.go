package docker

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/moby/moby/api/types/container"
)

const (
	// InstanceLabel is on every container. Its value says which daemon the container belongs to.
	InstanceLabel = "jsd.instance"

	// ImageLabel is on every container, too. Its value is the name of the image, which the engine forgets
	// where a container is made from the image's ID.
	ImageLabel = "jsd.image"

	// user is nobody. It is named here and not left to the image, whose author may forget it.
	user = "65534:65534"

	openFiles = 1024
	// tmpInodes bounds files in /tmp: an inode costs a KiB of kernel memory and no byte of the
	// file system's own size.
	tmpInodes = 4096

	mebibyte = 1 << 20

	gVisor = "runsc" // how the names of its runtimes begin, as runsc-kvm
)

func (s Spec) containerConfig(instance string) *container.Config {
	stopTimeout := 1 // seconds; nothing in there has anything to save
	return &container.Config{
		Image:        cmp.Or(s.ImageID, s.Image),
		User:         user,
		Hostname:     "sandbox",
		Labels:       map[string]string{InstanceLabel: instance, ImageLabel: s.Image},
		AttachStdin:  true,
		AttachStdout: true,
		AttachStderr: true,
		OpenStdin:    true,
		StdinOnce:    true, // the agent's input ends with the daemon, and with it the agent
		StopTimeout:  &stopTimeout,
		Healthcheck:  &container.HealthConfig{Test: []string{"NONE"}}, // whatever the image brings
	}
}

// hostPIDs bounds what the host counts for a container. gVisor's kernel has threads of its own there, and
// beside each thread in the container up to three more; without room for them it ends with all calls in it.
func (s Spec) hostPIDs() int64 {
	if strings.HasPrefix(s.Runtime, gVisor) {
		return 4*int64(s.PIDs) + 128
	}
	return int64(s.PIDs)
}

// hostConfig is the baseline: what keeps a container's inside from everything outside. seccomp is the
// option that seccompOption gives.
func (s Spec) hostConfig(seccomp string) *container.HostConfig {
	yes, no := true, false
	pids := s.hostPIDs()
	memory := int64(s.Memory) * mebibyte
	return &container.HostConfig{
		Runtime:        s.Runtime,
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges", seccomp},
		ReadonlyRootfs: true,
		Tmpfs: map[string]string{
			"/tmp": fmt.Sprintf("rw,noexec,nosuid,nodev,size=%dm,nr_inodes=%d,mode=1777", s.Tmp, tmpInodes),
		},
		NetworkMode: "none",
		IpcMode:     "none",
		LogConfig:   container.LogConfig{Type: "none"},
		AutoRemove:  true,
		Init:        &yes,
		Resources: container.Resources{
			Memory:         memory,
			MemorySwap:     memory,
			NanoCPUs:       int64(s.CPUs * 1e9),
			PidsLimit:      &pids,
			OomKillDisable: &no,
			Ulimits: []*container.Ulimit{
				{Name: "nofile", Soft: openFiles, Hard: openFiles},
				{Name: "core", Soft: 0, Hard: 0},
			},
		},
	}
}
