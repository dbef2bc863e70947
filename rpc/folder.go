package rpc

import (
	"encoding/json"
	"fmt"

	"github.com/jsd-project/jsd/bundles"
)

// A folder is the type of a param that maps paths to sources.
type folder struct {
	json    json.RawMessage            // as the client wrote it
	sources map[string]json.RawMessage // strings, by path
	wrong   string                     // what is, beside the type
}

func (f *folder) take(v json.RawMessage) bool {
	f.json, f.sources = v, map[string]json.RawMessage{}
	if kind(v) != '{' {
		return false
	}
	for path, source := range members(v) {
		if f.sources[string(path)] = source; len(f.sources) > bundles.MaxFiles {
			f.wrong = fmt.Sprintf(", at most %d", bundles.MaxFiles)
			return false
		}
	}
	for path, source := range f.sources {
		if err := bundles.CheckPath(path); err != nil {
			f.wrong = fmt.Sprintf(": the path %.100q %s", path, err)
		} else if kind(source) != '"' {
			f.wrong = fmt.Sprintf(": the source of %.100q is no string", path)
		}
	}
	return f.wrong == ""
}

func (f *folder) expects() string {
	const expected = "an object from path to source"
	if f == nil {
		return expected
	}
	return expected + f.wrong
}

func (f *folder) has(path string) bool {
	_, there := f.sources[path]
	return there
}

// entryOf is the file to begin with: what the client named, else what folders begin with.
func entryOf(named *source, has func(path string) bool) (*source, error) {
	if named == nil {
		path, ok := bundles.Entry(has)
		if !ok {
			return nil, invalidParams("file must be there where there is no index.js, index.mjs, index.cjs or index.ts")
		}
		entry := source(appendJSON(nil, path))
		return &entry, nil
	}
	if path := unquote(*named); !has(path) {
		return nil, invalidParams(fmt.Sprintf("file must be one of the files, which %.600q is not", path))
	}
	return named, nil
}
