package daemon_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jsd-project/jsd/daemon"
)

// The name of the image comes to stand for others while calls run, and some of these are no good. No call fails.
func TestImagesRoll(t *testing.T) {
	t.Parallel()
	r := startRolling(t, daemon.CanaryTime, "--image-check", "200ms", "--max-containers", "8", "--spare", "1", "--min-containers", "1")
	c := r.dial()
	session := c.Open("1", "tenant", "session")
	flow := r.begin("a", "b")
	tells := func(tenant, want string) {
		t.Helper()
		if got := c.Execute(tell(tenant, 0)).String(); got != want {
			t.Errorf("%s is in generation %s, want %s", tenant, got, want)
		}
	}
	flow.sees(1)
	tells("idle", "1")

	first := r.images.made[0]
	second := r.images.moveTo(2)
	flow.sees(2)
	tells("idle", "2")
	tells("session", "2")
	if got := c.In(session, `require("generation")`).String(); got != "1" {
		t.Errorf("the session is in generation %s", got)
	}
	eventually(t, "only the session is in the old image", func() bool { return len(r.of(first)) == 1 })
	c.Call("runtime.close", script{"session": session})
	eventually(t, "nothing is", func() bool { return len(r.of(first)) == 0 })

	for i, bad := range [][]string{{"true"}, {"sleep", "1"}, {"no-such-command"}} {
		image := r.images.moveTo(3+i, bad...)
		givenUp := func() int {
			return len(r.log.With(`"level":"error"`, "the new image is given up, the one before stays", image))
		}
		eventually(t, fmt.Sprintf("%v is given up", bad), func() bool { return givenUp() > 0 })
		failed, looks := r.Scheduler().Stats().Failed, r.looks.Load()
		eventually(t, "more looks", func() bool { return r.looks.Load() > looks+3 })
		if again := r.Scheduler().Stats().Failed; again != failed || givenUp() != 1 {
			t.Errorf("%v: %d starts failed, then %d; %d lines say that it is given up", bad, failed, again, givenUp())
		}
		flow.sees(2)
		tells(fmt.Sprint("new-", i), "2") // also in a container that is started now
		if err := r.Scheduler().Ready(); err != nil {
			t.Errorf("%v: not ready: %v", bad, err)
		}
	}

	r.images.moveTo(9)
	flow.sees(9)
	eventually(t, "nothing is of the image before", func() bool { return len(r.of(second)) == 0 })
	flow.end()
	if errors := r.log.With(`"level":"error"`); len(errors) != 3 {
		t.Errorf("the log says %v", errors)
	}
}

// SIGHUP has both followed at once: the image, and what the tenants file says. The tenants have all places there
// are, so what is new has to find its place among them.
func TestHangUpRollsImagesAndLimits(t *testing.T) {
	t.Parallel()
	file := tenantsFile(t, "tenants: {b: {memory: 200}}")
	r := startRolling(t, daemon.CanaryTime, "--image-check", "0", "--max-containers", "2", "--spare", "1", "--min-containers", "0", "--tenants", file)
	flow := r.begin("a", "b")
	flow.sees(1)
	first := r.images.made[0]
	r.images.moveTo(2)
	flow.sees(1)
	if n := r.looks.Load(); n != 0 {
		t.Errorf("%d looks at the image without being told to", n)
	}
	r.Reload()
	flow.sees(2)
	eventually(t, "nothing is of the old image", func() bool { return len(r.of(first)) == 0 })

	c := r.dial()
	memory := func(tenant string) string { // nothing where the container is on its way out
		got, _ := inspected("{{.HostConfig.Memory}}", c.Stats(script{"code": "1", "tenant": tenant}).Container)
		return got
	}
	has := func(tenant string, mib int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s with %d MiB", tenant, mib), func() bool { return memory(tenant) == fmt.Sprint(mib<<20) })
	}
	has("a", 256)
	has("b", 200)
	write(t, file, "tenants: {b: {memory: 300}}")
	r.Reload()
	has("b", 300)
	has("a", 256)
	write(t, file, "tenants: {b: {memory: none}}")
	r.Reload()
	eventually(t, "the bad file's line", func() bool { return len(r.log.With(`"level":"error"`, "limits stay as they were")) == 1 })
	has("b", 300)
	flow.sees(2)
}

// An image that the name stands for no more may be removed. Who needs it then gets the new one, without a look at
// the image being due.
func TestImageThatIsRemoved(t *testing.T) {
	t.Parallel()
	r := startRolling(t, daemon.CanaryTime, "--image-check", "0", "--max-containers", "2", "--spare", "0", "--min-containers", "0", "--concurrency", "1")
	first := r.images.made[0]
	c := r.dial()
	_, long := c.Start("runtime.execute", tell("a", time.Second))
	eventually(t, "it runs", func() bool { return r.Scheduler().Stats().Running == 1 })
	r.images.moveTo(2)
	if err := removeImage(first); err == nil {
		t.Error("the engine removed an image with a container of it")
	}
	if got := c.Wait(long).String(); got != "1" {
		t.Errorf("it got %s", got)
	}
	c.Call("runtime.stop", script{"tenant": "a"})
	eventually(t, "no container", func() bool { return len(r.of(first)) == 0 })
	r.images.remove(first)
	for _, tenant := range []string{"a", "b"} {
		if got := c.Execute(tell(tenant, 0)).String(); got != "2" {
			t.Errorf("%s got %s", tenant, got)
		}
	}
	if n := len(r.log.With("a new image")); n != 1 {
		t.Errorf("%d lines say that there is a new image", n)
	}
}

// Where an image could not be tried that says nothing of the image.
func TestImageThatCouldNotBeTriedYet(t *testing.T) {
	t.Parallel()
	r := startRolling(t, 2*time.Second, "--image-check", "100ms", "--max-containers", "1", "--spare", "0", "--min-containers", "0")
	c := r.dial()
	last := 1
	for why, hinder := range map[string]func() (end func()){
		"the engine goes away": func() func() {
			r.away.Store(true)
			return func() { r.away.Store(false) }
		},
		"a session holds the only place": func() func() {
			session := c.Open("1", "tenant", "a")
			return func() { c.Call("runtime.close", script{"session": session}) }
		},
	} {
		end := hinder()
		last++
		image := r.images.moveTo(last)
		eventually(t, why, func() bool { return len(r.log.With(`"level":"warn"`, "the new image could not be tried", image)) > 1 })
		end()
		eventually(t, "another try, after: "+why, func() bool { return c.Execute(tell("a", 0)).String() == fmt.Sprint(last) })
	}
	if errors := r.log.With(`"level":"error"`); len(errors) > 0 {
		t.Errorf("the log says %v", errors)
	}
}
