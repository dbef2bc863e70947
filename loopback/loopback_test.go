package loopback

import "testing"

func TestIs(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.255.0.3": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "127.0.0.1:80": false, "[::1]": false, "::1%lo": false,
		"localhost.": false, "localhost.example.com": false, "127.1": false, "2130706433": false,
	} {
		if Is(host) != want {
			t.Errorf("Is(%q) is %v", host, !want)
		}
	}
}
