package tenants

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/jsd-project/jsd/call"
)

// The bounds of a file. The time that the parser takes grows by the square of the keys of a mapping: it is a second
// for 10,000 tenants with some limits each, and 10 seconds at the bounds.
const (
	maxFile = 1 << 20 // bytes
	maxKeys = 40_000
)

// A FileError is an error in the file.
type FileError struct {
	File   string
	Line   int // 0: the file as a whole
	Column int
	Err    error
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

func at(t *token.Token, err error) error {
	return &FileError{Line: t.Position.Line, Column: t.Position.Column, Err: err}
}

// readTime bounds the wait for a file that is not on a disk, such as a pipe that nobody writes to.
const readTime = 2 * time.Second

// read returns the content of a file, if it is within the bounds.
func read(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without it, opening a pipe waits
	if err != nil {
		return nil, pathless(err)
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(readTime)) // files on a disk have no deadline and need none
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("is a directory")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, pathless(err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes: give what most tenants have as defaults", maxFile)
	}
	return content, nil
}

// pathless returns the error without the path, which the message already has.
func pathless(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// parse returns the root of the one document of a file. Errors have no File yet.
func parse(content []byte) (*ast.MappingNode, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	if line, ok := notText(content); ok {
		return nil, &FileError{Line: line, Column: 1, Err: errors.New("this is no text in UTF-8")}
	}
	tokens := lexer.Tokenize(string(content))
	if err := plain(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // which section finds, in less time
	if err != nil {
		var known yaml.Error
		if errors.As(err, &known) && known.GetToken() != nil {
			return nil, at(known.GetToken(), errors.New(known.GetMessage()))
		}
		return nil, errors.New("is no YAML")
	}
	for _, document := range file.Docs {
		switch root := document.Body.(type) {
		case nil:
		case *ast.MappingNode:
			return root, nil
		default:
			return nil, at(root.GetToken(), errors.New("a file has the keys defaults and tenants"))
		}
	}
	return nil, errors.New("is empty: write tenants: {} to have no more than the defaults")
}

// notText returns the first line that is not text in UTF-8.
func notText(content []byte) (line int, found bool) {
	for i, l := range bytes.Split(content, []byte("\n")) {
		if !utf8.Valid(l) || bytes.IndexByte(l, 0) >= 0 {
			return i + 1, true
		}
	}
	return 0, false
}

// maxDepth bounds the nesting of lists and mappings in brackets. No valid file needs as much.
const maxDepth = 5

// plain refuses YAML that means something else than it seems to, or that takes more time to read than its size
// suggests.
func plain(tokens token.Tokens) error {
	depth, colons := 0, 0
	for i, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return at(t, errors.New("anchors and aliases (& * <<) are not taken: write it out, or as defaults; put quotes around *.example.com"))
		case token.TagType, token.DirectiveType, token.MappingKeyType:
			return at(t, fmt.Errorf("%.20q is not taken: write keys and plain values", t.Value))
		case token.DocumentHeaderType, token.DocumentEndType:
			if i > 0 {
				return at(t, errors.New("a file holds one document"))
			}
		case token.MappingValueType:
			if colons++; colons > maxKeys {
				return at(t, fmt.Errorf("a file has at most %d keys: give what most tenants have as defaults", maxKeys))
			}
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			if i > 0 && tokens[i-1].Type == token.SequenceEntryType {
				depth = maxDepth + 1
			}
		}
		if depth > maxDepth {
			return at(t, errors.New("this lies too deep"))
		}
	}
	return nil
}

// A section is a key of a mapping with its value.
type section struct {
	key   string
	where *token.Token // of the key
	value ast.Node
}

// sections returns the keys and values of a mapping. A key that comes twice is an error. A null is an empty mapping.
func sections(of string, where *token.Token, node ast.Node) ([]section, error) {
	if _, ok := node.(*ast.NullNode); ok {
		return nil, nil
	}
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		return nil, at(where, fmt.Errorf("%s has to be a mapping: keys and values, each on a line, indented", of))
	}
	seen := map[string]int{}
	all := make([]section, 0, len(mapping.Values))
	for _, entry := range mapping.Values {
		t := entry.Key.GetToken()
		if line := seen[t.Value]; line > 0 {
			return nil, at(t, fmt.Errorf("%s is there already, in line %d", printable(t.Value), line))
		}
		seen[t.Value] = t.Position.Line
		all = append(all, section{t.Value, t, entry.Value})
	}
	return all, nil
}

func printable(key string) string {
	if call.IsName(key) {
		return key
	}
	return fmt.Sprintf("%.100q", key)
}
