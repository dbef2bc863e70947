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

// A pipeDirectory holds the pipes of one driver's containers. Only the daemon's user can access it.
type pipeDirectory struct {
	name atomic.Pointer[string] // nil: containers get no pipes
	mode os.FileMode            // of pipes
}

func (d *pipeDirectory) open(instance string) error {
	d.mode = pipeMode
	name, err := os.MkdirTemp(pipesBase(), pipesPrefix(instance)+"*") // only this user can access it
	if err == nil {
		d.name.Store(&name)
	}
	return err
}

// pipesBase returns the directory for files that a service, a session or a program needs while it runs.
func pipesBase() string {
	return cmp.Or(os.Getenv("RUNTIME_DIRECTORY"), os.Getenv("XDG_RUNTIME_DIR"), os.TempDir())
}

func pipesPrefix(instance string) string {
	return fmt.Sprintf("jsd-%.8x-", sha256.Sum256([]byte(instance)))
}

// sweep removes the directories that earlier drivers of the instance left.
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

// isOwn reports whether name is a directory of this user that nobody else can access.
func isOwn(name string) bool {
	info, err := os.Lstat(name)
	if err != nil || !info.IsDir() || info.Mode().Perm() != directoryMode {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Getuid()
}

// make returns the pipes of a new container, nil if containers have none. It creates the directory again if it was deleted.
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

// remove removes the directory with all pipes in it. Open pipes go on.
func (d *pipeDirectory) remove() error {
	if name := d.name.Swap(nil); name != nil {
		return os.RemoveAll(*name)
	}
	return nil
}
