package daemon

import (
	"errors"
	"net"
	"testing"
)

func TestInstanceAt(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8765":      "at-127.0.0.1-8765",
		"127.0.0.2:8765":      "at-127.0.0.2-8765",
		"[::]:80":             "at-__-80",
		"[fe80::1%eth0]:8765": "at-fe80__1_eth0-8765",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := instanceAt(tcp); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func TestInstanceIsHadOnceOnAnEngine(t *testing.T) {
	claim, err := claimInstance("engine of "+t.Name(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claimInstance("engine of "+t.Name(), "a"); !errors.Is(err, errInstanceTaken) {
		t.Errorf("again: %v", err)
	}
	for _, other := range [][2]string{{"engine of " + t.Name(), "b"}, {"another engine of " + t.Name(), "a"}} {
		c, err := claimInstance(other[0], other[1])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := claim.Close(); err != nil {
		t.Error(err)
	}
	claim, err = claimInstance("engine of "+t.Name(), "a")
	if err != nil {
		t.Fatal("after it was let go: ", err)
	}
	defer claim.Close()
}
