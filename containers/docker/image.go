package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"
)

// AgentLabel is on a runtime image. Its value is the AgentDigest of the agent inside.
const AgentLabel = "jsd.agent"

const agentDir = "node-agent"

// A Build is what a runtime image is made of.
type Build struct {
	Tag      string    // DefaultImage where empty
	Base     string    // image with Node to build on; where empty, findBase chooses it
	Fresh    bool      // use nothing of earlier builds, and pull the base again
	Files    fs.FS     // Dockerfile.runtime and node-agent, as embedded in the binary
	Progress io.Writer // gets a line for each step; may be nil
}

// BuildImage makes a runtime image on the engine that New would use. It takes seconds if the engine has the base image.
// Otherwise it pulls the base image first. The error wraps ErrNoBase if there is none.
func BuildImage(ctx context.Context, b Build) error {
	engine, err := connect(ctx)
	if err != nil {
		return err
	}
	defer engine.Close()
	return b.withDefaults().run(ctx, engine)
}

// EnsureImage builds the image unless the engine has it with the agent of b.Files. It returns whether it built one. Its
// errors are those of BuildImage.
func EnsureImage(ctx context.Context, b Build) (built bool, err error) {
	b = b.withDefaults()
	digest, err := AgentDigest(b.Files)
	if err != nil {
		return false, err
	}
	engine, err := connect(ctx)
	if err != nil {
		return false, err
	}
	defer engine.Close()
	image, err := engine.ImageInspect(ctx, b.Tag)
	if err != nil && !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("look at image %s: %w", b.Tag, err)
	}
	if err == nil && image.Config != nil && image.Config.Labels[AgentLabel] == digest {
		return false, nil
	}
	return true, b.run(ctx, engine)
}

// AgentDigest returns the SHA-256, in hex, of the agent's files and their names.
func AgentDigest(files fs.FS) (string, error) {
	names, err := agentFiles(files)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range names {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(content))
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// agentFiles returns the names of the files that Dockerfile.runtime copies, in order.
func agentFiles(files fs.FS) ([]string, error) {
	var names []string
	for _, dir := range []string{"agent", "shared", "worker"} {
		found, err := fs.Glob(files, path.Join(agentDir, dir, "*.js"))
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no agent in %s: %w", agentDir, fs.ErrNotExist)
	}
	names = append(names, path.Join(agentDir, "package.json"))
	sort.Strings(names)
	return names, nil
}

func (b Build) withDefaults() Build {
	if b.Tag == "" {
		b.Tag = DefaultImage
	}
	if b.Progress == nil {
		b.Progress = io.Discard
	}
	return b
}

func (b Build) run(ctx context.Context, engine *client.Client) error {
	digest, err := AgentDigest(b.Files)
	if err != nil {
		return err
	}
	base := b.Base
	if base == "" {
		if base, err = b.findBase(ctx, engine); err != nil {
			return err
		}
	}
	return b.build(ctx, engine, base, digest)
}

// findBase returns the name of an image with Node that is on the engine. It tries, in this order:
//   - the default base of Dockerfile.runtime, if the engine has it;
//   - a base image that was made on this machine;
//   - the default base, if it can be pulled.
//
// A fresh build pulls first. The error wraps ErrNoBase if there is none.
func (b Build) findBase(ctx context.Context, engine *client.Client) (string, error) {
	base, err := defaultBase(b.Files)
	if err != nil {
		return "", err
	}
	local := localName(base)
	if !b.Fresh {
		if found, err := firstImage(ctx, engine, base, local); found != "" || err != nil {
			return found, err
		}
	}
	fmt.Fprintf(b.Progress, "pulling %s\n", base)
	pullErr := pull(ctx, engine, base, pullStall)
	if pullErr == nil {
		return base, nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if found, err := firstImage(ctx, engine, local); found != "" || err != nil {
		fmt.Fprintf(b.Progress, "%s cannot be pulled: %v\n", base, pullErr)
		return found, err
	}
	return "", fmt.Errorf("%w: %s cannot be pulled (%w), and there is no %s on the engine; "+
		"name an image with Node (jsd image build --base IMAGE), or make %s (make image, in jsd's sources)",
		ErrNoBase, base, pullErr, local, local)
}

func (b Build) build(ctx context.Context, engine *client.Client, base, digest string) error {
	source, err := b.context()
	if err != nil {
		return err
	}
	before, _ := engine.ImageInspect(ctx, b.Tag) // if there is none, its ID is empty
	fmt.Fprintf(b.Progress, "building %s on %s\n", b.Tag, base)
	built, err := engine.ImageBuild(ctx, source, client.ImageBuildOptions{
		Tags:        []string{b.Tag},
		Dockerfile:  dockerfile,
		BuildArgs:   map[string]*string{"BASE": &base, "AGENT": &digest},
		NetworkMode: "none",
		Remove:      true,
		ForceRemove: true,
		NoCache:     b.Fresh,
		Version:     build.BuilderV1,
	})
	if err != nil {
		return fmt.Errorf("build %s: %w", b.Tag, err)
	}
	defer built.Body.Close()
	if err := follow(built.Body, b.Progress); err != nil {
		return fmt.Errorf("build %s: %w", b.Tag, err)
	}
	removeReplaced(ctx, engine, b.Tag, before.ID)
	return nil
}

// removeReplaced removes the image that lost its tag to a new one. It keeps an image that has other names. The engine keeps
// an image with containers or images on top.
func removeReplaced(ctx context.Context, engine *client.Client, tag, before string) {
	now, err := engine.ImageInspect(ctx, tag)
	if err != nil || before == "" || now.ID == before {
		return
	}
	old, err := engine.ImageInspect(ctx, before)
	if err != nil || len(old.RepoTags) > 0 {
		return
	}
	_, _ = engine.ImageRemove(ctx, before, client.ImageRemoveOptions{PruneChildren: true})
}

// context returns the tar that the engine builds from. It sets owner and modes, which may differ where the binary was built.
func (b Build) context() (io.Reader, error) {
	names, err := agentFiles(b.Files)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, name := range append(names, dockerfile) {
		content, err := fs.ReadFile(b.Files, name)
		if err != nil {
			return nil, err
		}
		// No times, so that the engine sees an unchanged file as unchanged.
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return &packed, w.Close()
}
