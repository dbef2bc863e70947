package daemon

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

var errInstanceTaken = errors.New("another jsd here has this name on the same engine, and would lose its containers; choose another")

// instanceAt is the default instance of a daemon that listens at an address: no other can listen there
// at the same time, and the next one that does is likely to be its successor. It holds letters, digits,
// dots, dashes and underscores only, as labels have to.
func instanceAt(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		host, port = "nowhere", "0"
	}
	return "at-" + strings.NewReplacer(":", "_", "%", "_").Replace(host) + "-" + port
}

// claimInstance makes the instance this process's own on the engine until it is closed or the process
// ends, however it does. What it holds is a name among this machine's sockets, in its network namespace.
func claimInstance(engine, instance string) (io.Closer, error) {
	sum := sha256.Sum256([]byte(engine + "\x00" + instance))
	claim, err := net.Listen("unix", fmt.Sprintf("@jsd-instance-%x", sum[:16]))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("--instance %s: %w", instance, errInstanceTaken)
	}
	if err != nil {
		return nil, fmt.Errorf("--instance %s: %w", instance, err)
	}
	return claim, nil
}
