package daemon_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/jsdtest"
)

// derivedImage is an image with one package more than the default one, which tests share.
func derivedImage(t *testing.T) string {
	t.Helper()
	tag := fmt.Sprintf("jsd-test-tenant-%d", os.Getpid())
	derived.Do(func() {
		jsdtest.NeedImage(t)
		dir := folder(t,
			"Dockerfile", "FROM "+docker.DefaultImage+"\nCOPY of-acme /usr/local/lib/node_modules/of-acme\n",
			"of-acme/package.json", `{"name": "of-acme", "version": "1.0.0", "main": "main.js"}`,
			"of-acme/main.js", `exports.greet = (name) => "hello " + name`,
		)
		if out, err := exec.Command("chmod", "-R", "a+rX", dir).CombinedOutput(); err != nil { // scripts are nobody
			t.Fatalf("%v: %s", err, out)
		}
		build := exec.CommandContext(t.Context(), "docker", "build", "--quiet", "--network", "none", "--tag", tag, dir)
		build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		jsdtest.AtEnd(func() error { return removeImage(tag) })
	})
	return tag
}

var derived sync.Once

func TestImageOfATenant(t *testing.T) {
	t.Parallel()
	image := derivedImage(t)
	d := start(t, "docker", "--max-containers", "2", "--spare", "1", "--min-containers", "1",
		"--tenants", tenantsFile(t, "tenants:\n  acme: {image: "+image+"}\n  acme-2: {image: "+image+"}\n  plain: {image: "+docker.DefaultImage+"}\n"))
	c := d.Dial(t, "json-rpc")
	for range 2 { // there are fewer places than tenants: they take turns, and each gets its own image again
		for tenant, theirs := range map[string]bool{"acme": true, "acme-2": true, "other": false, "plain": false} {
			got := c.Execute(script{"code": `require("of-acme").greet("you")`, "tenant": tenant})
			switch {
			case theirs && got.String() != `"hello you"`:
				t.Errorf("%s got %v %s", tenant, got, got.Data("message"))
			case !theirs && !strings.Contains(got.Data("message"), "no package of that name"):
				t.Errorf("%s got %v %s", tenant, got, got.Data("message"))
			}
		}
	}
	var info struct{ Modules []string }
	_, answer := c.Start("runtime.info", script{})
	if err := json.Unmarshal(c.Wait(answer).Result, &info); err != nil {
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
	d := start(t, "docker", "--max-containers", "2", "--spare", "1", "--min-containers", "1", "--tenants", tenantsFile(t, "tenants: {acme: {image: "+gone+", queueTime: 2s}}"))
	docker("image", "rm", gone)
	c := d.Dial(t, "json-rpc")
	_, theirs := c.Start("runtime.execute", script{"code": "1", "tenant": "acme"})
	for _, tenant := range []string{"a", "b", "c"} {
		if got := c.Execute(script{"code": "1", "tenant": tenant}).String(); got != "1" {
			t.Errorf("%s got %s", tenant, got)
		}
	}
	if got := c.Wait(theirs); got.String() != "1006 Busy" || strings.Contains(string(got.Error.Data), gone) {
		t.Errorf("acme got %v %s", got, got.Error.Data)
	}
	eventually(t, "ready, with what is started for others", func() bool { return d.Scheduler().Ready() == nil })
}

func TestTenantImagesThatCannotBe(t *testing.T) {
	noEngine := "unix://" + filepath.Join(t.TempDir(), "none")
	for _, c := range []struct{ why, content, want, driver, engine string }{
		{"processes", "tenants:\n  acme: {image: a}\n", ":2:3: tenant acme: image a needs the docker driver", "process", ""},
		{"defaults of processes", "defaults: {image: a}\n", ":1:1: defaults: image a needs the docker driver", "process", ""},
		{"a runtime of processes", "tenants:\n  acme: {runtime: runsc}\n", ":2:3: tenant acme: runtime runsc needs the docker driver", "process", ""},
		{"auto that comes to processes", "tenants:\n  acme: {image: a}\n", ":2:3: tenant acme: image a needs the docker driver", "auto", noEngine},
		{"an image that is not there", "tenants:\n  acme:\n    image: no-such-image:1\n", ":2:3: tenant acme: image no-such-image:1: no such image on the engine", "docker", ""},
		{"a runtime that is not there", "tenants:\n  acme: {runtime: no-such-runtime}\n", `:2:3: tenant acme: no such OCI runtime "no-such-runtime": the Docker engine knows`, "docker", ""},
		{"more processors than there are", "tenants:\n  acme: {image: jsd-runtime, cpus: 5000}\n", ":2:3: tenant acme: the Docker engine cannot hold this limit: CPUs 5000 is more than the ", "docker", ""},
		{"no name of an image", "tenants:\n  acme: {image: No Image}\n", ":2:3: tenant acme: image No Image: ", "docker", ""},
		{"not even a file", "- acme\n", ":1:1: a file has the keys", "process", ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			if c.engine != "" {
				t.Setenv("DOCKER_HOST", c.engine)
			}
			file := tenantsFile(t, c.content)
			err := jsdtest.Try(t, "--driver", c.driver, "--tenants", file)
			if c.engine == "" {
				jsdtest.SkipMissing(t, err)
			}
			if err == nil || !strings.Contains(err.Error(), file+c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

// An image that a file brings later is looked for then, and not only when a call needs it.
func TestImageOfATenantThatComesLater(t *testing.T) {
	t.Parallel()
	image := derivedImage(t)
	file := tenantsFile(t, "tenants: {}")
	d := start(t, "docker", "--max-containers", "2", "--spare", "0", "--min-containers", "0", "--tenants", file)
	write(t, file, "tenants: {acme: {image: no-such-image:1}}")
	if err := d.Policies().Reload(t.Context()); err == nil || !strings.Contains(err.Error(), file+":1:11: tenant acme: image no-such-image:1: no such image") {
		t.Errorf("got %v", err)
	}
	write(t, file, "tenants: {acme: {image: "+image+"}}")
	if err := d.Policies().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := d.Dial(t, "json-rpc")
	if got := c.Execute(script{"code": `require("of-acme").greet("you")`, "tenant": "acme"}).String(); got != `"hello you"` {
		t.Errorf("got %s", got)
	}
}
