package call

import (
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	segment := strings.Repeat("x", 255)
	for path, want := range map[string]error{
		"a":                     nil,
		"index.js":              nil,
		"lib/a b/é.json":        nil,
		"...":                   nil,
		".hidden/..a":           nil,
		"__proto__":             nil,
		"constructor/prototype": nil,
		"C:/x":                  nil, // a folder named C:
		segment:                 nil,
		segment + "/" + segment: nil,

		"":                             errPathLength,
		segment + "/" + segment + "/x": errPathLength,
		segment + "x":                  errPathSegment,
		"/etc/passwd":                  errPathSegment,
		"../x":                         errPathSegment,
		"a/../x":                       errPathSegment,
		"a/..":                         errPathSegment,
		"..":                           errPathSegment,
		".":                            errPathSegment,
		"./a":                          errPathSegment,
		"a/./b":                        errPathSegment,
		"a//b":                         errPathSegment,
		"a/":                           errPathSegment,
		`..\x`:                         errPathCharacter,
		`a\b`:                          errPathCharacter,
		"%2e%2e/x":                     errPathCharacter,
		"a\x00.js":                     errPathCharacter,
		"a\nb":                         errPathCharacter,
		"a\x7f":                        errPathCharacter,
		"a\u0085":                      errPathCharacter,
		"a\ufffd":                      errPathCharacter,
	} {
		if got := CheckPath(path); got != want {
			t.Errorf("%.40q: got %v, want %v", path, got, want)
		}
	}
}

func TestEntry(t *testing.T) {
	for folder, want := range map[string]string{
		"index.ts index.cjs index.mjs index.js main.js": "index.js",
		"index.ts index.cjs index.mjs":                  "index.mjs",
		"index.ts index.cjs":                            "index.cjs",
		"index.ts":                                      "index.ts",
		"main.js lib/index.js index.json":               "",
	} {
		files := strings.Fields(folder)
		got, ok := Entry(func(path string) bool {
			for _, f := range files {
				if f == path {
					return true
				}
			}
			return false
		})
		if got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v", folder, got, ok)
		}
	}
}
