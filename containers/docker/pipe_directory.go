package docker

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

const directoryMode = 0o700

var errDirectory = errors.New("it is not jsd's alone any more")

// A pipeDirectory holds the pipes of one driver's containers. Only its user can look into it.
type pipeDirectory struct {
	name atomic.Pointer[string] // nil: containers get no pipes
	mode os.FileMode            // of pipes
}

func (d *pipeDirectory) open(instance string) error {
	d.mode = pipeMode
	name, err := os.MkdirTemp(pipesBase(), pipesPrefix(instance)+"*") // which nobody else can look into
	if err == nil {
		d.name.Store(&name)
	}
	return err
}

// pipesBase is where a service, a session or a program has what it needs while it runs.
func pipesBase() string {
	return cmp.Or(os.Getenv("RUNTIME_DIRECTORY"), os.Getenv("XDG_RUNTIME_DIR"), os.TempDir())
}

func pipesPrefix(instance string) string {
	return fmt.Sprintf("jsd-%.8x-", sha256.Sum256([]byte(instance)))
}

// sweep removes what earlier drivers of the instance left.
func (d *pipeDirectory) sweep(instance string) error {
	left, err := filepath.Glob(filepath.Join(pipesBase(), pipesPrefix(instance)+"*"))
	own := d.name.Load()
	for _, name := range left {
		if (own == nil || name != *own) && isOwn(name) {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}
	return err
}

// isOwn reports whether nobody else can change or replace a directory.
func isOwn(name string) bool {
	info, err := os.Lstat(name)
	if err != nil || !info.IsDir() || info.Mode().Perm() != directoryMode {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Getuid()
}

// make gives the pipes of a container; nil where it gets none. A directory that somebody has cleaned away is made anew.
func (d *pipeDirectory) make(id string) (*pipes, error) {
	name := d.name.Load()
	if name == nil {
		return nil, nil
	}
	if err := os.Mkdir(*name, directoryMode); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if !isOwn(*name) {
		return nil, fmt.Errorf("directory %s: %w", *name, errDirectory)
	}
	return makePipes(*name, id, d.mode)
}

// remove removes the directory with all pipes in it, whose other ends go on as they are.
func (d *pipeDirectory) remove() error {
	if name := d.name.Swap(nil); name != nil {
		return os.RemoveAll(*name)
	}
	return nil
}
