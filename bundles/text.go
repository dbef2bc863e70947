package bundles

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// appendText decodes a well-formed JSON string. It keeps half a surrogate pair, as the three bytes that UTF-8 would
// have for it, because JavaScript distinguishes sources that differ in it.
func appendText(to []byte, quoted json.RawMessage) []byte {
	text := quoted[1 : len(quoted)-1]
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(to, text...)
		}
		to, text = append(to, text[:i]...), text[i:]
		if text[1] != 'u' {
			to, text = append(to, unescape(text[1])), text[2:]
			continue
		}
		unit := hex4(text)
		text = text[6:]
		if utf16.IsSurrogate(unit) && len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
			if r := utf16.DecodeRune(unit, hex4(text)); r != utf8.RuneError {
				to, text = utf8.AppendRune(to, r), text[6:]
				continue
			}
		}
		to = appendUnit(to, unit)
	}
}

func unescape(b byte) byte {
	switch b {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return b
	}
}

// hex4 returns the code unit of the escape, such as \u00e9, that text begins with.
func hex4(text []byte) rune {
	n, _ := strconv.ParseUint(string(text[2:6]), 16, 16) // well-formed, so it parses
	return rune(n)
}

func appendUnit(to []byte, unit rune) []byte {
	if utf16.IsSurrogate(unit) {
		return append(to, 0xe0|byte(unit>>12), 0x80|byte(unit>>6)&0x3f, 0x80|byte(unit)&0x3f)
	}
	return utf8.AppendRune(to, unit)
}
