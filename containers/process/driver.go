// Package process starts agents as plain child processes, for development without a container engine. It does not isolate
// scripts. A script that leaves its worker can do everything that the daemon's user can, except what Node's permission model
// refuses. Unix only.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
)

const (
	oldestNode  = 24 // major version, and
	oldestMinor = 8  // the minor one of that: the first that links vm modules at once
	entry       = "agent/agent.js"

	packagesVariable     = "JSD_PACKAGES"        // the folder of packages, for the agent
	certificatesVariable = "NODE_EXTRA_CA_CERTS" // a file of certificates that Node trusts besides its own

	versionTime = 10 * time.Second // for node --version; some ms is usual
)

// Reasons why there is no driver. Each error of New that wraps one of them also says what to do.
var (
	ErrNoNode     = errors.New("no Node")
	ErrOldNode    = errors.New("too old a Node")
	ErrNoPackages = errors.New("no folder of packages")
)

// Config is the configuration of a driver.
type Config struct {
	Node     string // path or name of the Node to use; node where empty
	Agent    fs.FS  // the agent's files, agent/agent.js among them
	Packages string // a node_modules folder whose packages scripts may load; none where empty
	Log      zerolog.Logger
}

// A Driver starts processes. Its methods may be called from any goroutine.
type Driver struct {
	config   Config
	node     string
	packages []string // the absolute path of the folder, and its real path if they differ; nil: none
	dir      string   // where the agent's files are
	count    atomic.Uint64
}

// New checks that Node is there and new enough. It writes the agent's files to a directory that only this user can read.
func New(config Config) (*Driver, error) {
	node, _, err := FindNode(config.Node)
	if err != nil {
		return nil, err
	}
	packages, err := findPackages(config.Packages)
	if err != nil {
		return nil, err
	}
	dir, err := writeAgent(config.Agent)
	if err != nil {
		return nil, fmt.Errorf("write the agent's files: %w", err)
	}
	return &Driver{config: config, node: node, packages: packages, dir: dir}, nil
}

const getNode = "name one with --node; scripts/node of jsd's sources fetches one, and prints its path"

// FindNode returns the absolute path and the version of the Node that New would use for this name.
func FindNode(name string) (node, version string, err error) {
	if name == "" {
		name = "node"
	}
	node, err = exec.LookPath(name)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w; %s", ErrNoNode, err, getNode)
	}
	if node, err = filepath.Abs(node); err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrNoNode, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionTime)
	defer cancel()
	command := exec.CommandContext(ctx, node, "--version")
	command.Env = environment()
	command.WaitDelay = time.Second
	said, err := command.Output()
	if err != nil {
		return "", "", fmt.Errorf("%w: %s --version: %w; %s", ErrNoNode, node, err, getNode)
	}
	version = strings.TrimSpace(string(said))
	var major, minor int
	if _, err := fmt.Sscanf(version, "v%d.%d", &major, &minor); err != nil {
		return "", "", fmt.Errorf("%w: %s says its version is %.40q; %s", ErrNoNode, node, version, getNode)
	}
	if major < oldestNode || major == oldestNode && minor < oldestMinor {
		return "", "", fmt.Errorf("%w: %s is %s, the agent wants %d.%d or newer; %s", ErrOldNode, node, version, oldestNode, oldestMinor, getNode)
	}
	return node, version, nil
}

// findPackages returns the paths by which the folder may be read. Node's permission model compares real paths, and also
// checks each symbolic link on the way.
func findPackages(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	named, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPackages, err)
	}
	info, err := os.Stat(named)
	if err != nil {
		return nil, fmt.Errorf("%w: %w; name a node_modules folder with --packages", ErrNoPackages, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%w: %s is a file; name a node_modules folder with --packages", ErrNoPackages, named)
	}
	real, err := filepath.EvalSymlinks(named)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPackages, err)
	}
	return slices.Compact([]string{named, real}), nil
}

// writeAgent copies the agent's files to a new directory and returns its path.
func writeAgent(agent fs.FS) (dir string, err error) {
	dir, err = os.MkdirTemp("", "jsd-agent-*") // for the daemon's user alone
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	// Node's permission model compares real paths.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, agent); err != nil {
		return "", err
	}
	_, err = os.Stat(filepath.Join(dir, entry))
	return dir, err
}

// environment returns all variables of a child. The daemon's other variables may hold secrets.
func environment() []string {
	variables := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "NODE_ENV=production"}
	if file := os.Getenv(certificatesVariable); file != "" {
		variables = append(variables, certificatesVariable+"="+file)
	}
	return variables
}

// Start starts an agent.
func (d *Driver) Start(ctx context.Context) (containers.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	command := d.command()
	id := fmt.Sprintf("process-%d", d.count.Add(1))
	p, err := startProcess(id, command, d.config.Log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", d.node, err)
	}
	return p, nil
}

// command returns the command that starts an agent. The agent may start workers, read their /proc entries and read the
// packages. Workers do not get the right to start processes.
func (d *Driver) command() *exec.Cmd {
	flags := []string{
		"--disable-warning=SecurityWarning",
		"--permission",
		"--allow-child-process",
		"--allow-fs-read=" + d.dir,
		"--allow-fs-read=/proc",
	}
	for _, path := range d.packages {
		flags = append(flags, "--allow-fs-read="+path)
	}
	command := exec.Command(d.node, append(flags, filepath.Join(d.dir, entry))...)
	command.Env = environment()
	if len(d.packages) > 0 {
		command.Env = append(command.Env, packagesVariable+"="+d.packages[0])
	}
	command.Dir = d.dir
	return command
}

// Close removes the agent's files. Processes that still run have to be killed before.
func (d *Driver) Close() error { return os.RemoveAll(d.dir) }
