package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	packagesImage      = "jsd-bench-packages"
	packagesDockerfile = "examples/packages/Dockerfile.copy"
	removePatience     = time.Minute
)

// A bench holds what is measured: a daemon with spare containers, one without, and the baselines.
type bench struct {
	servers               []*server
	clients               []*client
	spare, cold, baseline *client
	node, floor           string
	kinds                 []script // what is set against plain code
	tenants               int      // names used so far
}

// parts are the commands and folders that a bench is made of.
type parts struct {
	jsd, node string
	baselines string // folder of baseline.js and floor.js
	packages  string // node_modules folder with lodash
}

func start(ctx context.Context, p parts) (_ *bench, err error) {
	b := &bench{node: p.node, floor: filepath.Join(p.baselines, "floor.js"), kinds: kinds()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	// The instances keep their names, so that a run that was killed is swept by the next one.
	serve := func(instance string, more ...string) *exec.Cmd {
		return exec.Command(p.jsd, append([]string{"serve", "--driver", "docker", "--listen", "127.0.0.1:0",
			"--cpus", "2", "--instance", instance}, more...)...)
	}
	if b.cold, err = b.connect(ctx, "jsd without spares",
		serve("bench-cold", "--spare", "0", "--min-containers", "0")); err != nil {
		return nil, err
	}
	// The daemon above has seen to it that the runtime image is there, with the agent of its own.
	if err = makePackagesImage(ctx, p.packages); err != nil {
		return nil, err
	}
	if b.spare, err = b.connect(ctx, "jsd", serve("bench-spare", "--image", packagesImage)); err != nil {
		return nil, err
	}
	b.baseline, err = b.connect(ctx, "baseline", exec.Command(p.node, filepath.Join(p.baselines, "baseline.js")))
	return b, err
}

// connect starts a server and a connection to it; close ends both.
func (b *bench) connect(ctx context.Context, name string, cmd *exec.Cmd) (*client, error) {
	server, err := startServer(ctx, name, cmd)
	if err != nil {
		return nil, err
	}
	b.servers = append(b.servers, server)
	client, err := dial(ctx, server.url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b.clients = append(b.clients, client)
	return client, nil
}

// close ends the servers and removes the image that was made for them.
func (b *bench) close() error {
	for _, client := range b.clients {
		client.close()
	}
	for _, server := range b.servers {
		server.stop()
	}
	return removePackagesImage()
}

// makePackagesImage derives an image with packages from the runtime image. modules is the folder
// lib/node_modules below the prefix that npm installed them under.
func makePackagesImage(ctx context.Context, modules string) error {
	prefix := filepath.Dir(filepath.Dir(modules))
	return docker(ctx, "build", "--quiet", "--network", "none", "--tag", packagesImage, "--file", packagesDockerfile, prefix)
}

func removePackagesImage() error {
	ctx, cancel := context.WithTimeout(context.Background(), removePatience)
	defer cancel()
	return docker(ctx, "image", "rm", "--force", packagesImage) // forced, one that is not there is no error
}

func docker(ctx context.Context, args ...string) error {
	if said, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("docker %s: %w\n%s", args[0], errors.Join(err, ctx.Err()), said)
	}
	return nil
}
