package call

import (
	"errors"
	"strings"
	"unicode"
)

// MaxFiles is how many files a folder may have.
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

// CheckPath says what keeps path from naming a file of a folder, in words that follow it. Paths are
// relative, with / between segments. They never lead out of the folder, and none has two spellings.
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

// A surrogate without its other half has been decoded to the replacement character.
func notInPath(r rune) bool {
	return r == '\\' || r == '%' || r == unicode.ReplacementChar || unicode.IsControl(r)
}

var entries = [...]string{"index.js", "index.mjs", "index.cjs", "index.ts"}

// Entry is the file that a folder begins with where nothing else is said. has tells whether a path
// is in the folder.
func Entry(has func(path string) bool) (path string, ok bool) {
	for _, path := range entries {
		if has(path) {
			return path, true
		}
	}
	return "", false
}
