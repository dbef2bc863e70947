package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/system"
	moby "github.com/moby/moby/client"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers"
	"github.com/jsd-project/jsd/containers/docker"
)

const (
	engineTime = 10 * time.Second // for an engine's answers, all together
	proofTime  = 60 * time.Second // for a container to start and to be removed
	gVisor     = "runsc"
)

// examineEngine looks at the Docker engine and the image, and starts a container where it can. usable says
// whether serve could, which the driver itself judges; only the default image may still have to be made.
func (c *doctorCommand) examineEngine(whole context.Context) (found []finding, usable bool) {
	ctx, cancel := context.WithTimeout(whole, engineTime)
	defer cancel()
	driver, judged := docker.New(ctx, docker.Config{Instance: "doctor", Log: zerolog.Nop()})
	if judged == nil {
		_, judged = driver.Check(ctx, c.spec())
		judged = errors.Join(judged, driver.Close())
	}
	if errors.Is(judged, docker.ErrNoEngine) {
		return []finding{{"docker", stateMissing, oneLine(judged), "for development, --driver process needs none"}}, false
	}
	if errors.Is(judged, docker.ErrNoLimit) || errors.Is(judged, docker.ErrBadLimit) {
		return []finding{{"docker", stateMissing, oneLine(judged), ""}}, false
	}
	engine, err := moby.New(moby.FromEnv)
	if err != nil {
		return []finding{{"docker", stateMissing, oneLine(err), "check DOCKER_HOST"}}, false
	}
	defer engine.Close()
	info, err := engine.Info(ctx, moby.InfoOptions{})
	if err != nil {
		return []finding{{"docker", stateMissing, oneLine(err), "restart the engine"}}, false
	}
	found = append(found, describeEngine(info.Info, engine, judged))
	found = append(found, describeRuntimes(info.Info, c.Runtime, judged))
	image, makeable := c.describeImage(ctx, engine, judged)
	found = append(found, image)
	if judged != nil || image.State != stateOK { // one with another agent may have nothing to say to this jsd
		return found, judged == nil || makeable
	}
	container := c.tryContainer(whole)
	return append(found, container), container.State == stateOK
}

func (c *doctorCommand) spec() docker.Spec {
	return docker.Spec{Image: c.Image, Runtime: c.Runtime, Memory: c.Memory, CPUs: c.CPUs, PIDs: c.PIDs, Tmp: c.Tmp}
}

// tryContainer is the proof: nothing else shows that engine, runtime and kernel take a container's baseline,
// the profile of system calls above all, and that the agent can do with it.
func (c *doctorCommand) tryContainer(ctx context.Context) finding {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	begun := time.Now()
	if err := c.startContainer(ctx); err != nil {
		f := finding{"container", stateMissing, oneLine(err), "see the engine's log"}
		if errors.Is(err, docker.ErrProfile) {
			f.Remedy = "" // the error says it
		}
		return f
	}
	took := time.Since(begun).Round(time.Millisecond)
	return finding{"container", stateOK, fmt.Sprintf("one started and was removed in %v, with jsd's seccomp profile", took), ""}
}

func (c *doctorCommand) startContainer(ctx context.Context) error {
	driver, err := docker.New(ctx, docker.Config{Instance: "doctor", Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	process, err := driver.Start(ctx, c.spec())
	if err != nil {
		return errors.Join(err, driver.Close())
	}
	limits := containers.Limits{
		Concurrency: 1, Workers: 1, Heap: c.Heap, Memory: c.Memory, Result: 1 << 10, ConsoleLines: 1, ConsoleBytes: 1 << 10,
	}
	container, err := containers.Open(ctx, process, limits, zerolog.Nop())
	if err == nil {
		err = container.Close()
	}
	return errors.Join(err, driver.Close())
}

func describeEngine(info system.Info, engine *moby.Client, judged error) finding {
	f := finding{Name: "docker", State: stateOK, Found: fmt.Sprintf("engine %s at %s, API %s, cgroup v%s by %s",
		info.ServerVersion, engine.DaemonHost(), engine.ClientVersion(), info.CgroupVersion, info.CgroupDriver)}
	if errors.Is(judged, docker.ErrUnconfined) {
		f.State, f.Remedy = stateMissing, oneLine(judged)
		return f
	}
	f.Found += ", seccomp"
	var cannot []string
	for limit, can := range map[string]bool{
		"memory": info.MemoryLimit, "swap": info.SwapLimit, "CPU": info.CPUCfsQuota, "processes": info.PidsLimit,
	} {
		if !can {
			cannot = append(cannot, limit)
		}
	}
	if len(cannot) > 0 {
		slices.Sort(cannot)
		f.State = stateWarn
		f.Found += "; it cannot limit " + strings.Join(cannot, ", ")
		f.Remedy = "enable these cgroup controllers in the kernel's command line"
	}
	return f
}

func describeRuntimes(info system.Info, wanted string, judged error) finding {
	names := slices.Sorted(maps.Keys(info.Runtimes))
	f := finding{Name: "runtimes", State: stateOK, Found: fmt.Sprintf("%s (default %s)", strings.Join(names, ", "), info.DefaultRuntime)}
	switch {
	case errors.Is(judged, docker.ErrNoRuntime):
		f.State = stateMissing
		f.Found = wanted + " is not among " + f.Found
		f.Remedy = "add it to /etc/docker/daemon.json and reload the engine"
	case !slices.Contains(names, gVisor):
		f.Remedy = "no " + gVisor + ": install gVisor, add it to /etc/docker/daemon.json and choose --runtime " + gVisor + " for a second wall around scripts"
	}
	return f
}

// describeImage says whether the image is there and current. makeable: serve will start once it has
// made it.
func (c *doctorCommand) describeImage(ctx context.Context, engine *moby.Client, judged error) (f finding, makeable bool) {
	f = finding{Name: "image", State: stateOK, Found: c.Image}
	ours := c.Image == docker.DefaultImage
	makes := `"jsd image build" makes it, as the first start does; where no registry answers, "make image" in jsd's sources does`
	image, err := engine.ImageInspect(ctx, c.Image)
	if errdefs.IsNotFound(err) {
		f.State, f.Found, f.Remedy = stateMissing, c.Image+" is not on the engine", "pull or build it"
		if ours {
			f.Remedy = makes
		}
		return f, ours && errors.Is(judged, docker.ErrNoImage)
	}
	digest, digestErr := docker.AgentDigest(jsd.Runtime)
	if err = errors.Join(err, digestErr); err != nil {
		f.State, f.Found = stateMissing, oneLine(err)
		return f, false
	}
	label := ""
	if image.Config != nil {
		label = image.Config.Labels[docker.AgentLabel]
	}
	switch {
	case errors.Is(judged, docker.ErrBadImage):
		f.State, f.Found = stateMissing, oneLine(judged)
	case label == digest:
		f.Found += ", its agent is current"
	case ours:
		f.State, f.Found, f.Remedy = stateWarn, f.Found+" has another agent than this jsd", makes
	default:
		f.State, f.Found = stateWarn, f.Found+" has another agent than this jsd"
		f.Remedy = "build it again FROM a current " + docker.DefaultImage
	}
	return f, false
}
