package bundles

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/jsd-project/jsd/call"
)

// ErrTooMany says that a folder would have more than MaxFiles files.
var ErrTooMany = errors.New("too many files in a bundle")

// A Folder is a bundle in the making. It is used by one goroutine at a time; its zero value is empty.
type Folder struct {
	parts  []json.RawMessage
	digest map[string]digest // by path
	bytes  int               // of parts
	names  int               // bytes of the paths in digest
}

type digest [sha256.Size]byte

// Add takes one part: a JSON object, and the same as a map from path, which CheckPath has passed, to
// source, a JSON string. A path that is there already gets the new source. It keeps nothing of its
// arguments. With ErrTooMany the folder is as it was.
func (f *Folder) Add(part json.RawMessage, sources map[string]json.RawMessage) error {
	added, names := 0, 0
	for path := range sources {
		if _, there := f.digest[path]; !there {
			added++
			names += len(path)
		}
	}
	if len(f.digest)+added > MaxFiles {
		return ErrTooMany
	}
	if len(sources) == 0 {
		return nil
	}
	if f.digest == nil {
		f.digest = make(map[string]digest, len(sources))
	}
	var text []byte
	for path, source := range sources {
		text = appendText(text[:0], source)
		f.digest[path] = sha256.Sum256(text)
	}
	f.parts = append(f.parts, bytes.Clone(part))
	f.bytes += len(part)
	f.names += names
	return nil
}

// Files is how many there are.
func (f *Folder) Files() int { return len(f.digest) }

// What a bundle takes in memory beside its parts, about.
const (
	bundleOverhead = 1 << 10
	fileOverhead   = 100
)

// Size is what the folder counts for against the bounds, in bytes: its parts, its paths, and
// something for each file, so that many small ones do not take more memory than they count for.
func (f *Folder) Size() int64 {
	return int64(f.bytes + f.names + bundleOverhead + fileOverhead*len(f.digest))
}

// bundle ends the making. The ID hashes the paths in order, each with its length before it and the
// hash of its source behind it, so no two folders are written alike; how a client cut it in parts or
// escaped its characters does not show.
func (f *Folder) bundle() *Bundle {
	paths := slices.Sorted(maps.Keys(f.digest))
	hash := sha256.New()
	for _, path := range paths {
		var head [8]byte
		binary.BigEndian.PutUint64(head[:], uint64(len(path)))
		hash.Write(head[:])
		hash.Write([]byte(path))
		source := f.digest[path]
		hash.Write(source[:])
	}
	return &Bundle{
		Bundle: call.Bundle{ID: hex.EncodeToString(hash.Sum(nil)), Parts: f.parts, Size: f.bytes},
		paths:  paths,
	}
}

// A Bundle is a folder that is kept. It never changes, and may be used after it went out of its store.
type Bundle struct {
	call.Bundle
	paths []string // sorted
}

// Has tells whether a file has this path.
func (b *Bundle) Has(path string) bool {
	_, found := slices.BinarySearch(b.paths, path)
	return found
}
