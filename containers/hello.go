package containers

import (
	"encoding/json"
	"fmt"
)

// A Hello is what an agent says about itself. It is not verified, so it may be displayed and nothing must depend on it.
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

// networkLimits are numbers of concurrent connections.
type networkLimits struct {
	Call      int `json:"call"`
	Container int `json:"container"`
}

type consoleLimits struct {
	Lines int `json:"lines"`
	Bytes int `json:"bytes"`
}

func encodeHello(l *Limits) ([]byte, error) {
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
