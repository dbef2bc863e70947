package tenants

import "testing"

// No file ends the daemon, whatever is in it.
func FuzzFile(f *testing.F) {
	for _, content := range []string{
		"tenants:\n  acme: {queue: 7}\n", "defaults:\n  modules: [a, 'b']\n  # c\n", "a: &x [1]\nb: *x\n<<: {}\n", "? a\n: - - b\n",
		"a: |\n  b\n---\n...\n%YAML 1.1\n", "!!map {\"a\\u0000\": .inf}\n", "\ta: 1\r\n", "{a: [}]", "a: >-\n\n b\nc:\n- d: e\n",
	} {
		f.Add([]byte(content))
	}
	r := reader{[]string{"javascript"}, Bounds{}}
	f.Fuzz(func(t *testing.T, content []byte) {
		root, err := parse(content)
		if err != nil {
			return
		}
		if _, err := r.snapshot(root, usual()); err == nil && len(content) == 0 {
			t.Error("nothing is a file")
		}
	})
}
