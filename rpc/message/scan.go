package message

import (
	"unicode/utf8"
)

// A scanner checks a frame, and notes on the way where the members of its object and of the objects in that are. So a
// request is gone through once: what lies in it (globals, args) may be megabytes and is passed on as it came.
//
// It takes what JSON.parse takes, of any depth, where encoding/json refuses deep values: a frame that is refused as a whole
// has no id to answer. And it tells names exactly, where encoding/json takes "CODE" for "code".
type scanner struct {
	open   []byte   // the brackets that are not closed yet
	noted  []member // in the order in which they end
	full   bool     // there were more
	parent [2]int   // the index in noted, by depth, of the member that is being read; -1: it is not noted
	high   byte     // all bytes of strings, joined by or: from 0x80 on there is something to check
}

// A member is where a member of an object is in the frame.
type member struct {
	depth      int // 1: of the frame's object; 2: of an object in that
	parent     int // depth 2: the index of the member that holds it
	name       int // where its name begins, at the quote
	start, end int // of its value
}

// noted bounds the members that a scanner notes. More than twice as many have no meaning in any request; they are found by
// walking, see members.
const maxNoted = 64

// scan tells whether data is one JSON value in UTF-8.
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
			if at(data, i) == b+2 { // an empty one, which closed closes
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

// closed goes from the end of a value over the brackets that close behind it and the comma then, to where the next value
// begins. It is -1 where that cannot be, and takes a negative i.
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

// key is the index behind a key and its colon, -1 where there is none.
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

// note begins a member whose name begins at i.
func (s *scanner) note(depth, i int) {
	m := member{depth: depth, name: i, parent: -1}
	if depth == 2 {
		if s.open[0] != '{' {
			return // of an object in an array
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

// begins is told of each value that begins where members are noted, ends of each that has ended there.
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

// current is the member whose value is being read, nil where there is none that is noted.
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

// scalar is the index behind a string, number or word, -1 where there is none.
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

// string is the index behind the string whose quote is at i, -1 where it is none.
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

// ordinary is the bytes that stand for themselves in a string.
var ordinary = func() (table [256]bool) {
	for b := range table {
		table[b] = b >= ' ' && b != '"' && b != '\\'
	}
	return table
}()

// escapeThere is the index of the last byte of an escape whose backslash is in front of i, -1 where it is none.
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

// at is a byte of data, 0 behind its end, which no JSON has in a place that matters.
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

// digitsThere is the index behind one digit or more.
func digitsThere(data []byte, i int) int {
	if !isDigit(at(data, i)) {
		return -1
	}
	for isDigit(at(data, i)) {
		i++
	}
	return i
}
