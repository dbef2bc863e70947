package message

import (
	"encoding/json"
	"fmt"

	"github.com/jsd-project/jsd/call"
)

// Files is the type of a param that maps paths to sources.
type Files struct {
	JSON    json.RawMessage            // as the client wrote it
	Sources map[string]json.RawMessage // strings, by path

	wrong string // what is, beside the type
}

func (f *Files) Take(v json.RawMessage) bool {
	f.JSON, f.Sources = v, map[string]json.RawMessage{}
	if Kind(v) != '{' {
		return false
	}
	for path, source := range Members(v) {
		if f.Sources[string(path)] = source; len(f.Sources) > call.MaxFiles {
			f.wrong = fmt.Sprintf(", at most %d", call.MaxFiles)
			return false
		}
	}
	for path, source := range f.Sources {
		if err := call.CheckPath(path); err != nil {
			f.wrong = fmt.Sprintf(": the path %.100q %s", path, err)
		} else if Kind(source) != '"' {
			f.wrong = fmt.Sprintf(": the source of %.100q is no string", path)
		}
	}
	return f.wrong == ""
}

func (f *Files) Expects() string {
	const expected = "an object from path to source"
	if f == nil {
		return expected
	}
	return expected + f.wrong
}

// Has tells whether there is a file at this path.
func (f *Files) Has(path string) bool {
	_, there := f.Sources[path]
	return there
}
