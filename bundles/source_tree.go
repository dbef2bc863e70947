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

// ErrTooMany means that a source tree would have more than call.MaxFiles files.
var ErrTooMany = errors.New("too many files in a bundle")

// A SourceTree becomes a bundle when it is finished. One goroutine at a time uses it. Its zero value is empty.
type SourceTree struct {
	parts  []json.RawMessage
	digest map[string]digest // by path
	bytes  int               // of parts
	names  int               // bytes of the paths in digest
}

type digest [sha256.Size]byte

// Add adds one part: a JSON object, and the same object as a map from paths to sources. CheckPath has accepted each
// path. Each source is a JSON string. A path that the source tree has already gets the new source. Add does not keep its
// arguments. On ErrTooMany the source tree stays as it was.
func (f *SourceTree) Add(part json.RawMessage, sources map[string]json.RawMessage) error {
	added, names := 0, 0
	for path := range sources {
		if _, there := f.digest[path]; !there {
			added++
			names += len(path)
		}
	}
	if len(f.digest)+added > call.MaxFiles {
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

// Files returns the number of files.
func (f *SourceTree) Files() int { return len(f.digest) }

// What a bundle takes in memory besides its parts, in bytes. These are estimates.
const (
	bundleOverhead = 1 << 10
	fileOverhead   = 100
)

// Size returns the bytes that count against the bounds: those of the parts and of the paths, and an overhead for each
// file. Without the overhead, many small files would take more memory than they count for.
func (f *SourceTree) Size() int64 {
	return int64(f.bytes + f.names + bundleOverhead + fileOverhead*len(f.digest))
}

// bundle finishes the source tree. The ID is a hash of the paths in order, each with its length before it and the hash of
// its source behind it. So different source trees have different IDs. Neither the parts nor the way characters were
// escaped change the ID.
func (f *SourceTree) bundle() *Bundle {
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

// A Bundle is a finished source tree. It never changes, and may be used after the store has dropped it.
type Bundle struct {
	call.Bundle
	paths []string // sorted
}

// Has reports whether the bundle has a file with this path.
func (b *Bundle) Has(path string) bool {
	_, found := slices.BinarySearch(b.paths, path)
	return found
}
