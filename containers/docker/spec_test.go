package docker

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

// One driver makes containers of several specs side by side, each with its own limits.
func TestSpecsSideBySide(t *testing.T) {
	d, engine := needDriver(t)
	other := Spec{Image: DefaultImage, Runtime: "runc", Memory: 128, CPUs: 0.5, PIDs: 64, Tmp: 8}
	if id, err := d.Check(t.Context(), other); id != d.spec.ImageID || err != nil {
		t.Errorf("got %s, %v", id, err)
	}
	for _, spec := range []Spec{d.spec, other} {
		inspected, err := engine.ContainerInspect(t.Context(), start(t, specDriver{d.Driver, spec}).ID(), client.ContainerInspectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		h := inspected.Container.HostConfig
		got := Spec{Memory: int(h.Memory >> 20), CPUs: float64(h.NanoCPUs) / 1e9, PIDs: int(*h.PidsLimit)}
		_, err = fmt.Sscanf(h.Tmpfs["/tmp"], "rw,noexec,nosuid,nodev,size=%dm", &got.Tmp)
		want := spec
		want.Image, want.ImageID, want.Runtime = "", "", ""
		if err != nil || got != want || spec.Runtime != "" && h.Runtime != spec.Runtime {
			t.Errorf("got %+v with runtime %s, want %+v, %v", got, h.Runtime, spec, err)
		}
	}
}

func TestPIDsOnTheHost(t *testing.T) {
	for runtime, want := range map[string]int64{"": 100, "runc": 100, "runsc": 528, "runsc-kvm": 528} {
		if got := *(Spec{Runtime: runtime, PIDs: 100}).hostConfig("").PidsLimit; got != want {
			t.Errorf("%s: %d, want %d", runtime, got, want)
		}
	}
}

// What Check saw stays what containers are made of, also when the name moves on or is gone.
func TestImageIsTheOneThatWasChecked(t *testing.T) {
	_, engine := needDriver(t)
	tag := fmt.Sprintf("jsd-test-%d-moves:", os.Getpid())
	first := buildAs(t, engine, tag+"first", "ENV WHICH=first")
	second := buildAs(t, engine, tag+"second", "ENV WHICH=second")
	tag += "now"
	name := func(image string) {
		t.Helper()
		if _, err := engine.ImageTag(t.Context(), client.ImageTagOptions{Source: image, Target: tag}); err != nil {
			t.Fatal(err)
		}
	}
	name(first)
	d := newDriver(t, engine, tag)
	is := func(spec Spec, want string) {
		t.Helper()
		p := start(t, specDriver{d.Driver, spec})
		if got := inside(t, engine, p.ID(), "echo $WHICH"); got != want {
			t.Errorf("got a container of the %s image, want the %s", got, want)
		}
	}
	is(d.spec, "first")
	name(second)
	is(d.spec, "first")
	unpinned := d.spec
	unpinned.ImageID = ""
	is(unpinned, "second")

	now, err := d.ImageID(t.Context(), tag)
	if err != nil || now == d.spec.ImageID {
		t.Errorf("the name stands for %s, %v", now, err)
	}
	if id, err := d.ImageID(t.Context(), second); id != now || err != nil {
		t.Errorf("the other name for it stands for %s, %v", id, err)
	}
	removeImage(t, engine, tag)
	is(d.spec, "first")
	if id, err := d.ImageID(t.Context(), tag); !errors.Is(err, ErrNoImage) || id != "" {
		t.Errorf("the name that is gone stands for %s, %v", id, err)
	}
	gone := d.spec
	gone.ImageID = "sha256:" + strings.Repeat("0", 64)
	for _, spec := range []Spec{unpinned, gone} {
		if _, err := d.Driver.Start(t.Context(), spec); !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), tag) {
			t.Errorf("got %v", err)
		}
	}
}
