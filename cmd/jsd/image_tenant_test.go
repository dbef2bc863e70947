package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd"
	"github.com/jsd-project/jsd/containers/docker"
)

// derivedImage makes an image with one package more than the default one, until the test ends.
func derivedImage(t *testing.T) string {
	t.Helper()
	_, err := docker.EnsureImage(t.Context(), docker.Build{Files: jsd.Runtime, Progress: t.Output()})
	if errors.Is(err, docker.ErrNoEngine) && os.Getenv("JSD_TEST_REQUIRE") != "all" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile":           "FROM " + docker.DefaultImage + "\nCOPY of-acme /usr/local/lib/node_modules/of-acme\n",
		"of-acme/package.json": `{"name": "of-acme", "version": "1.0.0", "main": "main.js"}`,
		"of-acme/main.js":      `exports.greet = (name) => "hello " + name`,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	tag := fmt.Sprintf("jsd-test-tenant-%d", os.Getpid())
	build := exec.CommandContext(t.Context(), "docker", "build", "--quiet", "--network", "none", "--tag", tag, dir)
	build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), "docker", "image", "rm", tag).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	return tag
}

func TestImageOfATenant(t *testing.T) {
	image := derivedImage(t)
	d := start(t, "docker", "--max-containers", "2", "--spare", "1", "--min-containers", "1",
		"--tenant-image", "acme="+image, "--tenant-image", "acme-2="+image, "--tenant-image", "plain="+docker.DefaultImage)
	c := dial(t, d.listener.Addr().String(), "json-rpc", nil)
	for range 2 { // there are fewer places than tenants: they take turns, and each gets its own image again
		for tenant, theirs := range map[string]bool{"acme": true, "acme-2": true, "other": false, "plain": false} {
			got := c.execute(script{"code": `require("of-acme").greet("you")`, "tenant": tenant})
			switch {
			case theirs && got.String() != `"hello you"`:
				t.Errorf("%s got %v %s", tenant, got, got.data("message"))
			case !theirs && !strings.Contains(got.data("message"), "no package of that name"):
				t.Errorf("%s got %v %s", tenant, got, got.data("message"))
			}
		}
	}
	var info struct{ Modules []string }
	_, answer := c.start("runtime.info", script{})
	if err := json.Unmarshal(c.wait(answer).Result, &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Modules) == 0 || slices.Contains(info.Modules, "of-acme") {
		t.Errorf("runtime.info names %v", info.Modules)
	}
}

func TestImageOfATenantThatIsGone(t *testing.T) {
	image := derivedImage(t)
	gone := image + ":gone"
	docker := func(arguments ...string) {
		if out, err := exec.CommandContext(t.Context(), "docker", arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+image+"\nLABEL another=image\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0")
	docker("build", "--quiet", "--network", "none", "--tag", gone, dir)
	d := start(t, "docker", "--max-containers", "2", "--spare", "1", "--min-containers", "1", "--queue-time", "2s", "--tenant-image", "acme="+gone)
	docker("image", "rm", gone)
	c := dial(t, d.listener.Addr().String(), "json-rpc", nil)
	_, theirs := c.start("runtime.execute", script{"code": "1", "tenant": "acme"})
	for _, tenant := range []string{"a", "b", "c"} {
		if got := c.execute(script{"code": "1", "tenant": tenant}).String(); got != "1" {
			t.Errorf("%s got %s", tenant, got)
		}
	}
	if got := c.wait(theirs); got.String() != "1006 Busy" || strings.Contains(string(got.Error.Data), gone) {
		t.Errorf("acme got %v %s", got, got.Error.Data)
	}
	if err := d.scheduler.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func TestTenantImagesThatCannotBe(t *testing.T) {
	noEngine := "unix://" + filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		why, want, engine string
		arguments         []string
	}{
		{"no image", "has to be TENANT=IMAGE", "", []string{"--tenant-image", "acme"}},
		{"an empty image", "has to be TENANT=IMAGE", "", []string{"--tenant-image", "acme="}},
		{"no tenant", "a tenant's name is", "", []string{"--tenant-image", "=image"}},
		{"a tenant that no request can name", "a tenant's name is", "", []string{"--tenant-image", "a b=image"}},
		{"a long name", "a tenant's name is", "", []string{"--tenant-image", strings.Repeat("a", 65) + "=image"}},
		{"two images", "tenant acme has two", "", []string{"--tenant-image", "acme=one", "--tenant-image", "acme=two"}},
		{"two in one", "tenant acme has two", "", []string{"--tenant-image", "acme=one,acme=two"}},
		{"processes", "needs the docker driver", "", []string{"--driver", "process", "--tenant-image", "acme=image"}},
		{"auto that comes to processes", "needs the docker driver", noEngine, []string{"--driver", "auto", "--tenant-image", "acme=image"}},
		{"an image that is not there", "--tenant-image acme=no-such-image:1: no such image on the engine", "",
			[]string{"--driver", "docker", "--tenant-image", "acme=no-such-image:1"}},
		{"no name of an image", "--tenant-image acme=No Image: ", "", []string{"--driver", "docker", "--tenant-image", "acme=No Image"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			if c.engine != "" {
				t.Setenv("DOCKER_HOST", c.engine)
			}
			settings, err := settings(t, append([]string{"--listen", "127.0.0.1:0"}, c.arguments...)...)
			if err == nil {
				var d *daemon
				if d, err = open(t.Context(), settings, zerolog.Nop()); err == nil {
					d.Close()
				}
			}
			if errors.Is(err, docker.ErrNoEngine) && c.engine == "" && os.Getenv("JSD_TEST_REQUIRE") != "all" {
				t.Skip(err)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestTenantImagesFromTheEnvironment(t *testing.T) {
	t.Setenv("JSD_TENANT_IMAGE", "acme=one:1, other=images.example:5000/two@sha256:00")
	c, err := settings(t)
	if err != nil {
		t.Fatal(err)
	}
	images, err := c.tenantImages()
	if got := fmt.Sprint(images); err != nil || got != "map[acme:one:1 other:images.example:5000/two@sha256:00]" {
		t.Errorf("got %s, %v", got, err)
	}
}
