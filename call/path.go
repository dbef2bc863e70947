package call

import (
	"errors"
	"strings"
	"unicode"
)

// MaxFiles is the largest number of files of a source tree.
const MaxFiles = 10_000

const (
	maxPath    = 512 // bytes
	maxSegment = 255 // bytes
)

var (
	errPathLength    = errors.New("is empty or longer than 512 bytes")
	errPathSegment   = errors.New("has an empty, . or .. segment, or one longer than 255 bytes")
	errPathCharacter = errors.New(`has a \, a %, a control character or half a surrogate pair`)
)

// CheckPath returns an error if path cannot name a file of a source tree. The text of the error continues a sentence that
// begins with the path. Paths are relative, with / between segments. They never lead out of the source tree, and no path
// has two spellings.
func CheckPath(path string) error {
	if path == "" || len(path) > maxPath {
		return errPathLength
	}
	if strings.ContainsFunc(path, notInPath) {
		return errPathCharacter
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." || len(segment) > maxSegment {
			return errPathSegment
		}
	}
	return nil
}

// notInPath reports whether a path must not have this character. The JSON decoder turns a surrogate without its other
// half into the replacement character.
func notInPath(r rune) bool {
	return r == '\\' || r == '%' || r == unicode.ReplacementChar || unicode.IsControl(r)
}

var entries = [...]string{"index.js", "index.mjs", "index.cjs", "index.ts"}

// Entry returns the file that a source tree begins with if the call names none. has reports whether a path is in the source tree.
func Entry(has func(path string) bool) (path string, ok bool) {
	for _, path := range entries {
		if has(path) {
			return path, true
		}
	}
	return "", false
}
