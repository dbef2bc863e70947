package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/client"
)

const engineTime = 5 * time.Second // for the engine to answer at all

// connect returns a client of the engine that the environment names (DOCKER_HOST and so on), or of the local one. It fails
// if the engine does not answer.
func connect(ctx context.Context) (*client.Client, error) {
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; check DOCKER_HOST", ErrNoEngine, err)
	}
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	if _, err := engine.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		_ = engine.Close()
		return nil, fmt.Errorf("%w at %s: start one (apt-get install docker.io), or set DOCKER_HOST (%w)",
			ErrNoEngine, engine.DaemonHost(), err)
	}
	return engine, nil
}
