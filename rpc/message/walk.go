package message

import (
	"bytes"
	"encoding/json"
	"iter"
)

// The functions of this file walk JSON that a scanner has accepted, at any depth. They do not check it, and their results
// for invalid data have no meaning.

// Kind returns the first byte of a value: { [ " t f n. It returns '0' for any number, and 0 for no value.
func Kind(value []byte) byte {
	if len(value) == 0 {
		return 0
	}
	switch b := value[0]; b {
	case '{', '[', '"', 't', 'f', 'n':
		return b
	default:
		return '0'
	}
}

// Members yields the names and values of a well-formed object. A name may be part of object, so it must not be written to.
func Members(object []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		i := skipSpace(object, 0) + 1
		for i = skipSpace(object, i); object[i] != '}'; i = nextItem(object, i) {
			keyEnd := stringEnd(object, i)
			key := Unquoted(object[i:keyEnd])
			i = skipSpace(object, skipSpace(object, keyEnd)+1) // past the colon
			end := valueEnd(object, i)
			if !yield(key, object[i:end:end]) {
				return
			}
			i = end
		}
	}
}

// Elements yields the elements of a well-formed array.
func Elements(array []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := skipSpace(array, 0) + 1
		for i = skipSpace(array, i); array[i] != ']'; i = nextItem(array, i) {
			end := valueEnd(array, i)
			if !yield(array[i:end:end]) {
				return
			}
			i = end
		}
	}
}

// nextItem returns the index of the next item, or of the closing bracket. i is the index after an item.
func nextItem(data []byte, i int) int {
	i = skipSpace(data, i)
	if data[i] == ',' {
		i = skipSpace(data, i+1)
	}
	return i
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// valueEnd returns the index after the value that begins at i.
func valueEnd(data []byte, i int) int {
	switch data[i] {
	case '"':
		return stringEnd(data, i)
	case '{', '[':
		return closeEnd(data, i)
	default:
		return scalarEnd(data, i)
	}
}

// closeEnd returns the index after the bracket that closes the bracket at i.
func closeEnd(data []byte, i int) int {
	for depth := 0; i < len(data); i++ {
		switch nests[data[i]] {
		case quotes:
			i = stringEnd(data, i) - 1
		case opens:
			depth++
		case closes:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(data)
}

// nests is what a byte outside of strings does to the nesting. Most bytes need only this lookup.
var nests = [256]nesting{'"': quotes, '{': opens, '[': opens, '}': closes, ']': closes}

type nesting byte

const (
	_ nesting = iota
	quotes
	opens
	closes
)

func scalarEnd(data []byte, i int) int {
	if n := bytes.IndexAny(data[i:], ",]} \n\t\r"); n >= 0 {
		return i + n
	}
	return len(data)
}

// stringEnd returns the index after the string whose opening quote is at i.
func stringEnd(data []byte, i int) int {
	// Most strings are short names, for which a call of IndexByte takes longer than this loop.
	from := i + 1
	for short := min(from+16, len(data)); from < short; from++ {
		switch data[from] {
		case '"':
			return from + 1
		case '\\':
			from++
		}
	}
	for {
		quote := from + bytes.IndexByte(data[from:], '"')
		escapes := quote
		for data[escapes-1] == '\\' {
			escapes--
		}
		if (quote-escapes)%2 == 0 {
			return quote + 1
		}
		from = quote + 1
	}
}

// Unquote decodes a well-formed string.
func Unquote(quoted []byte) string { return string(Unquoted(quoted)) }

// Unquoted decodes a well-formed string. Without escapes the result is a part of quoted, so it must not be written to.
func Unquoted(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // a well-formed string always decodes
	return []byte(s)
}

// AppendJSON appends v as JSON. It panics if v has no JSON form.
func AppendJSON(to []byte, v any) []byte {
	buf := bytes.NewBuffer(to)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("no JSON form: " + err.Error())
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
