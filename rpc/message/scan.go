package message

import (
	"unicode/utf8"
)

// A scanner checks that a frame is JSON, and records the places of members of its object and of the objects directly in
// that. So a request is read once. Values in it (globals, args) may be megabytes and are passed on as they came.
//
// It accepts what JSON.parse accepts, at any depth. encoding/json refuses deep values, and a frame that is refused as a
// whole has no id to answer. The scanner also compares names exactly, while encoding/json takes "CODE" for "code".
type scanner struct {
	open   []byte   // the brackets that are not closed yet
	noted  []member // in the order in which they end
	full   bool     // some members were not recorded
	parent [2]int   // by depth, the index in noted of the member that is being read; -1: it is not recorded
	high   byte     // bitwise or of all bytes of strings; from 0x80 on, the UTF-8 has to be checked
}

// A member is the place of a member of an object in the frame.
type member struct {
	depth      int // 1: in the frame's object; 2: in an object in that
	parent     int // for depth 2: the index of the member whose value is the object
	name       int // index of the quote before its name
	start, end int // indices of its value
}

// maxNoted bounds the members that a scanner records. No request has a meaning for even half as many. The members beyond are
// found by walking; see members.
const maxNoted = 64

// scan reports whether data is one JSON value in UTF-8.
func (s *scanner) scan(data []byte) bool {
	s.open, s.noted, s.full, s.high = s.open[:0], s.noted[:0], false, 0
	return s.value(data) && (s.high < utf8.RuneSelf || utf8.Valid(data))
}

func (s *scanner) value(data []byte) bool {
	i := skipSpace(data, 0)
	for {
		i = skipSpace(data, i)
		b := at(data, i)
		if len(s.open) <= 2 {
			s.begins(i)
		}
		switch {
		case b != '{' && b != '[':
			if i = s.scalar(data, i); i >= 0 && len(s.open) <= 2 {
				s.ends(i)
			}
		default:
			s.open = append(s.open, b)
			i = skipSpace(data, i+1)
			if at(data, i) == b+2 { // an empty object or array: closed handles its end
				break
			}
			if b == '{' {
				if i = s.key(data, i); i < 0 {
					return false
				}
			}
			continue
		}
		if i = s.closed(data, i); i < 0 || len(s.open) == 0 {
			return i == len(data)
		}
	}
}

// closed returns the index of the next value after a value that ends at i. It skips the brackets that close there and a
// comma. If the next value is a member of an object, it skips the key, too. It returns -1 if the data is invalid or i is
// negative. After the outermost value it returns the index of what follows.
func (s *scanner) closed(data []byte, i int) int {
	for i >= 0 {
		i = skipSpace(data, i)
		if len(s.open) == 0 {
			return i
		}
		innermost := s.open[len(s.open)-1]
		switch at(data, i) {
		case innermost + 2: // ] and } are two behind [ and {
			s.open = s.open[:len(s.open)-1]
			i++
			if len(s.open) <= 2 {
				s.ends(i)
			}
		case ',':
			i = skipSpace(data, i+1)
			if innermost == '{' {
				i = s.key(data, i)
			}
			return i
		default:
			return -1
		}
	}
	return -1
}

// key returns the index after a key and its colon, -1 if there is none.
func (s *scanner) key(data []byte, i int) int {
	if at(data, i) != '"' {
		return -1
	}
	if depth := len(s.open); depth <= 2 {
		s.note(depth, i)
	}
	if i = s.string(data, i); i < 0 {
		return -1
	}
	if i = skipSpace(data, i); at(data, i) != ':' {
		return -1
	}
	return i + 1
}

// note records a member whose name begins at i.
func (s *scanner) note(depth, i int) {
	m := member{depth: depth, name: i, parent: -1}
	if depth == 2 {
		if s.open[0] != '{' {
			return // in an object in an array
		}
		m.parent = s.parent[0]
	}
	if len(s.noted) == maxNoted || depth == 2 && m.parent < 0 {
		s.full = true
		s.parent[depth-1] = -1
		return
	}
	s.parent[depth-1] = len(s.noted)
	s.noted = append(s.noted, m)
}

// begins records where the value of the current member begins, and ends where it ends.
func (s *scanner) begins(i int) {
	if m := s.current(); m != nil {
		m.start = i
	}
}

func (s *scanner) ends(i int) {
	if m := s.current(); m != nil {
		m.end = i
	}
}

// current returns the member whose value is being read, nil if it is not recorded.
func (s *scanner) current() *member {
	depth := len(s.open)
	if depth == 0 || s.open[depth-1] != '{' || s.open[0] != '{' {
		return nil
	}
	if at := s.parent[depth-1]; at >= 0 {
		return &s.noted[at]
	}
	return nil
}

// scalar returns the index after a string, number or word, -1 if there is none.
func (s *scanner) scalar(data []byte, i int) int {
	switch at(data, i) {
	case '"':
		return s.string(data, i)
	case 't':
		return wordThere(data, i, "true")
	case 'f':
		return wordThere(data, i, "false")
	case 'n':
		return wordThere(data, i, "null")
	default:
		return numberThere(data, i)
	}
}

// string returns the index after the string whose quote is at i, -1 if it is invalid.
func (s *scanner) string(data []byte, i int) int {
	high := byte(0)
	for i++; i < len(data); i++ {
		b := data[i]
		if ordinary[b] {
			high |= b
			continue
		}
		switch b {
		case '"':
			s.high |= high
			return i + 1
		case '\\':
			if i = escapeThere(data, i+1); i < 0 {
				return -1
			}
		default:
			return -1
		}
	}
	return -1
}

// ordinary is the set of bytes that stand for themselves in a string.
var ordinary = func() (table [256]bool) {
	for b := range table {
		table[b] = b >= ' ' && b != '"' && b != '\\'
	}
	return table
}()

// escapeThere returns the index of the last byte of an escape sequence. i is the index after its backslash. It returns -1 if
// the sequence is invalid.
func escapeThere(data []byte, i int) int {
	switch at(data, i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
		for range 4 {
			if i++; !isHex(at(data, i)) {
				return -1
			}
		}
		return i
	default:
		return -1
	}
}

// at returns a byte of data, and 0 after its end. JSON allows 0 nowhere.
func at(data []byte, i int) byte {
	if i < len(data) {
		return data[i]
	}
	return 0
}

func wordThere(data []byte, i int, word string) int {
	if end := i + len(word); end <= len(data) && string(data[i:end]) == word {
		return end
	}
	return -1
}

func isHex(b byte) bool {
	return isDigit(b) || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func numberThere(data []byte, i int) int {
	if at(data, i) == '-' {
		i++
	}
	if at(data, i) == '0' {
		i++
	} else if i = digitsThere(data, i); i < 0 {
		return -1
	}
	if at(data, i) == '.' {
		if i = digitsThere(data, i+1); i < 0 {
			return -1
		}
	}
	if b := at(data, i); b == 'e' || b == 'E' {
		if i++; at(data, i) == '+' || at(data, i) == '-' {
			i++
		}
		return digitsThere(data, i)
	}
	return i
}

// digitsThere returns the index after one or more digits, -1 if there is none.
func digitsThere(data []byte, i int) int {
	if !isDigit(at(data, i)) {
		return -1
	}
	for isDigit(at(data, i)) {
		i++
	}
	return i
}
