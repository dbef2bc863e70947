package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

const (
	packagesDockerfile = "examples/packages/Dockerfile.copy"
	removePatience     = time.Minute
)

// A bench has the servers that are measured: a daemon with spare containers, one without, and the baselines.
type bench struct {
	parts
	peers                 []*peer
	spare, cold, baseline *peer
	kinds                 []script // that are compared with plain code
	texts                 []script // with values of 1 MiB
	session               script
	tenants               int // names used so far
}

// A peer is a server with a connection to it.
type peer struct {
	*client
	server *server
}

func (p *peer) close() {
	p.client.close()
	p.server.stop()
}

// parts are the commands, folders and names that a bench uses.
type parts struct {
	jsd, node string
	image     string // runtime image
	instance  string // what names of instances begin with
	baselines string // folder of baseline.js and floor.js
	packages  string // node_modules folder with lodash
}

// packagesImage is the name of an image that the bench makes and removes.
func (p *parts) packagesImage() string { return "jsd-" + p.instance + "-packages" }

func start(ctx context.Context, p parts) (_ *bench, err error) {
	b := &bench{parts: p, kinds: kinds(), texts: texts()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.cold, err = b.serve(ctx, "cold", p.image, "--spare", "0", "--min-containers", "0"); err != nil {
		return nil, err
	}
	// The daemon above has made sure that the runtime image is there and has its own agent.
	if err = b.makePackagesImage(ctx); err != nil {
		return nil, err
	}
	if b.spare, err = b.serve(ctx, "spare", b.packagesImage()); err != nil {
		return nil, err
	}
	baseline := exec.Command(p.node, filepath.Join(p.baselines, "baseline.js"))
	b.baseline, err = b.connect(ctx, "baseline", baseline, listens)
	return b, err
}

// serve starts a daemon. Its instance has the same name in each run, so that the next run removes the containers of
// one that was killed.
func (b *bench) serve(ctx context.Context, name, image string, more ...string) (*peer, error) {
	args := append([]string{"serve", "--driver", "docker", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--cpus", "2", "--image", image, "--instance", b.instance + "-" + name}, more...)
	return b.connect(ctx, "jsd "+name, exec.Command(b.jsd, args...), observed)
}

// connect starts a server and a connection to it; close ends both.
func (b *bench) connect(ctx context.Context, name string, cmd *exec.Cmd, ready *regexp.Regexp) (*peer, error) {
	server, err := startServer(ctx, name, cmd, ready)
	if err != nil {
		return nil, err
	}
	client, err := dial(ctx, server.url)
	if err != nil {
		server.stop()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &peer{client, server}
	b.peers = append(b.peers, p)
	return p, nil
}

// close stops the servers and removes the image that was made for them.
func (b *bench) close() error {
	for _, peer := range b.peers {
		peer.close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), removePatience)
	defer cancel()
	_, err := docker(ctx, "image", "rm", "--force", b.packagesImage()) // with --force, a missing image is no error
	return err
}

// makePackagesImage derives an image with packages from the runtime image. npm has installed the packages below a
// prefix, in its folder lib/node_modules.
func (b *bench) makePackagesImage(ctx context.Context) error {
	prefix := filepath.Dir(filepath.Dir(b.packages))
	_, err := docker(ctx, "build", "--quiet", "--network", "none", "--build-arg", "BASE="+b.image,
		"--tag", b.packagesImage(), "--file", packagesDockerfile, prefix)
	return err
}

func docker(ctx context.Context, args ...string) (string, error) {
	said, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", args[0], errors.Join(err, ctx.Err()), said)
	}
	return string(said), nil
}
