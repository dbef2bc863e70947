package containers

import (
	"encoding/json"
	"fmt"
)

// Limits bound what one container may do. They are fixed for its life.
type Limits struct {
	Concurrency  int // calls at once
	Workers      int // processes that run scripts, kept ready
	Heap         int // MiB of JavaScript heap for one worker
	Memory       int // MiB for the whole container
	Result       int // bytes of a value's JSON
	ConsoleLines int
	ConsoleBytes int
	Modules      []string // built-in modules that scripts may load; nil: the agent's default list
	Streams      int      // connections of one call at once; 0: scripts have none, nor what makes them

	Liveness Liveness // when a silent agent is given up
}

// headerLimit is how many bytes a header to the daemon may take: the console at twice its limit (as
// much as an agent holds whatever its workers do) with every byte escaped, and the rest.
func (l Limits) headerLimit() int { return HeaderRoom + 12*l.ConsoleBytes + 8*l.ConsoleLines }

// A Hello is what an agent says of itself. It is a claim, fit for display.
type Hello struct {
	Version int      `json:"version"`
	Node    string   `json:"node"`
	Modules []string `json:"modules"` // built-in modules and packages that scripts may load
}

const (
	maxHello      = 1 << 20 // bytes
	maxNodeName   = 64
	maxModules    = 2000
	maxModuleName = 214 // what npm allows a package
)

type daemonHello struct {
	Version     int            `json:"version"`
	Concurrency int            `json:"concurrency"`
	Workers     int            `json:"workers"`
	Heap        int            `json:"heap"`
	Memory      int            `json:"memory"`
	Result      int            `json:"result"`
	Console     consoleLimits  `json:"console"`
	Modules     []string       `json:"modules,omitzero"`
	Network     *networkLimits `json:"network,omitempty"`
}

// networkLimits are connections at once.
type networkLimits struct {
	Call      int `json:"call"`
	Container int `json:"container"`
}

type consoleLimits struct {
	Lines int `json:"lines"`
	Bytes int `json:"bytes"`
}

func encodeHello(l Limits) ([]byte, error) {
	var network *networkLimits
	if l.Streams > 0 {
		network = &networkLimits{Call: l.Streams, Container: l.streamsAtOnce()}
	}
	return encodeFrame(kindHello, daemonHello{
		Version:     Version,
		Concurrency: l.Concurrency,
		Workers:     l.Workers,
		Heap:        l.Heap,
		Memory:      l.Memory,
		Result:      l.Result,
		Console:     consoleLimits{Lines: l.ConsoleLines, Bytes: l.ConsoleBytes},
		Modules:     l.Modules,
		Network:     network,
	}, nil)
}

func decodeHello(f frame) (Hello, error) {
	if f.kind != kindHello {
		return Hello{}, fmt.Errorf("%w: the first frame is of kind %d, not a hello", errProtocol, f.kind)
	}
	var h Hello
	if err := json.Unmarshal(f.header, &h); err != nil {
		return Hello{}, fmt.Errorf("%w: hello: %w", errProtocol, err)
	}
	if h.Version != Version {
		return Hello{}, fmt.Errorf("%w: the agent speaks version %d of the link, this daemon %d: rebuild the runtime image",
			errProtocol, h.Version, Version)
	}
	h.Node = clip(h.Node, maxNodeName)
	h.Modules = h.Modules[:min(len(h.Modules), maxModules)]
	for i, name := range h.Modules {
		h.Modules[i] = clip(name, maxModuleName)
	}
	return h, nil
}
