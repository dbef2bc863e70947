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

	// ImageLabel is on every container, too. Its value is the name of the image. The engine does not keep the name if a
	// container is made from the image's ID.
	ImageLabel = "jsd.image"

	// user is nobody. It is set here because the author of the image may have set none.
	user = "65534:65534"

	openFiles = 1024
	// tmpInodes bounds files in /tmp. An inode takes a KiB of kernel memory, which the size of the file system does not
	// include.
	tmpInodes = 4096

	mebibyte = 1 << 20

	gVisor = "runsc" // prefix of the names of its runtimes, such as runsc-kvm
)

func (s Spec) containerConfig(instance string) *container.Config {
	stopTimeout := 1 // seconds; a container has nothing to save
	return &container.Config{
		Image:        cmp.Or(s.ImageID, s.Image),
		User:         user,
		Hostname:     "sandbox",
		Labels:       map[string]string{InstanceLabel: instance, ImageLabel: s.Image},
		AttachStdin:  true,
		AttachStdout: true,
		AttachStderr: true,
		OpenStdin:    true,
		StdinOnce:    true, // when the daemon ends, the agent's input ends and so does the agent
		StopTimeout:  &stopTimeout,
		Healthcheck:  &container.HealthConfig{Test: []string{"NONE"}}, // the image's own is not run
	}
}

// hostPIDs returns the limit of PIDs on the host. gVisor has threads of its own there, and up to three more for each thread
// in the container. Without room for these threads it ends, with all calls in it.
func (s Spec) hostPIDs() int64 {
	if strings.HasPrefix(s.Runtime, gVisor) {
		return 4*int64(s.PIDs) + 128
	}
	return int64(s.PIDs)
}

// hostConfig returns the baseline that isolates a container. seccomp is the option that seccompOption returns.
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
