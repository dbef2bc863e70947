package rpc

// isJSON tells whether data is one JSON value, as encoding/json's Valid does, but of any depth: that
// one refuses what JSON.parse takes, and then nobody could say whose request it was. It does not
// look at UTF-8.
func isJSON(data []byte) bool {
	var open []byte // the brackets that are not closed yet
	for i := skipSpace(data, 0); ; i = skipSpace(data, i) {
		switch b := at(data, i); b {
		case '{', '[':
			open = append(open, b)
			i = skipSpace(data, i+1)
			if at(data, i) == b+2 { // the closing one, which the loop below takes
				break
			}
			if b == '{' {
				i = keyEnd(data, i)
			}
			if i < 0 {
				return false
			}
			continue
		default:
			i = scalarThere(data, i)
		}
		if i, open = closed(data, i, open); i < 0 || len(open) == 0 {
			return i == len(data)
		}
	}
}

// closed goes from the end of a value over the brackets that close behind it and the comma then, to
// where the next value begins. It is -1 where that cannot be, and takes a negative i.
func closed(data []byte, i int, open []byte) (int, []byte) {
	for i >= 0 {
		i = skipSpace(data, i)
		if len(open) == 0 {
			return i, open
		}
		innermost := open[len(open)-1]
		switch at(data, i) {
		case innermost + 2: // ] and } are two behind [ and {
			open = open[:len(open)-1]
			i++
		case ',':
			i = skipSpace(data, i+1)
			if innermost == '{' {
				i = keyEnd(data, i)
			}
			return i, open
		default:
			return -1, open
		}
	}
	return -1, open
}

// at is a byte of data, 0 behind its end, which no JSON has in a place that matters.
func at(data []byte, i int) byte {
	if i < len(data) {
		return data[i]
	}
	return 0
}

// keyEnd is the index behind a key and its colon, -1 where there is none.
func keyEnd(data []byte, i int) int {
	if at(data, i) != '"' {
		return -1
	}
	if i = stringThere(data, i); i < 0 {
		return -1
	}
	if i = skipSpace(data, i); at(data, i) != ':' {
		return -1
	}
	return i + 1
}

// scalarThere is the index behind a string, number or word, -1 where there is none.
func scalarThere(data []byte, i int) int {
	switch at(data, i) {
	case '"':
		return stringThere(data, i)
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

func wordThere(data []byte, i int, word string) int {
	if end := i + len(word); end <= len(data) && string(data[i:end]) == word {
		return end
	}
	return -1
}

func stringThere(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch b := data[i]; {
		case b == '"':
			return i + 1
		case b < ' ':
			return -1
		case b != '\\':
			continue
		}
		i++
		switch at(data, i) {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			for range 4 {
				if i++; !isHex(at(data, i)) {
					return -1
				}
			}
		default:
			return -1
		}
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
