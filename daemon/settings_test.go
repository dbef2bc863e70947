package daemon_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/daemon"
	"github.com/jsd-project/jsd/jsdtest"
)

func TestSettingsThatCannotBe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		why, want string
		arguments []string
	}{
		{"not loopback", "refusing to serve this address without a credential", []string{"--listen", "0.0.0.0:8765"}},
		{"no port", "has to be ADDRESS:PORT", []string{"--listen", "localhost"}},
		{"min over max", "is more than --max-containers", []string{"--min-containers", "5", "--max-containers", "4"}},
		{"nothing", "--concurrency has to be above 0", []string{"--concurrency", "0"}},
		{"negative", "--spare may not be negative", []string{"--spare=-1"}},
		{"a frame that no container takes", "--max-frame", []string{"--max-frame", "99999999"}},
		{"unknown driver", "must be one of", []string{"--driver", "chroot"}},
		{"two secrets", "only one of them may be set", []string{"--secret", "a", "--secret-file", "/none"}},
		{"no secret in the file", "credentials: secret file /dev/null: is empty", []string{"--secret-file", "/dev/null"}},
		{"a secret that no header keeps", "the secret begins or ends with a space", []string{"--secret", "a "}},
		{"a short key", "a secret for HS256 has at least 32 bytes", []string{"--jwt-key", "abc"}},
		{"no key file", "credentials: key file /none: no such file or directory", []string{"--jwt-key-file", "/none"}},
		{"keys in the clear", "has to begin with https", []string{"--jwks-url", "http://issuer.example/keys"}},
		{"an audience of nothing", "--jwt-audience needs a key of tokens", []string{"--jwt-audience", "jsd"}},
		{"a claim of nothing", "--jwt-claim needs a key of tokens", []string{"--jwt-claim", "org"}},
		{"an unknown algorithm", `the algorithm "none" is none of HS256, RS256, ES256, EdDSA`, []string{"--jwt-key", strings.Repeat("k", 32), "--jwt-algorithms", "HS256,none"}},
		{"a certificate without its key", "--tls-cert and --tls-key have to come together", []string{"--tls-cert", "/none"}},
		{"no certificate", "--tls-cert, --tls-key: /none: no such file", []string{"--tls-cert", "/none", "--tls-key", "/none"}},
		{"a certificate that is none", "--tls-cert /dev/null, --tls-key /dev/null: failed to find any PEM data", []string{"--tls-cert", "/dev/null", "--tls-key", "/dev/null"}},
		{"a host with a port", "--host", []string{"--host", "jsd.example.com:80"}},
		{"an origin that is none", "--origin", []string{"--origin", "example"}},
		{"a port in use", "address already in use; choose another with --listen", []string{"--listen", taken.Addr().String()}},
		{"a runtime without an engine", "--runtime runsc needs the docker driver", []string{"--driver", "process", "--runtime", "runsc"}},
		{"no node", "node", []string{"--driver", "process", "--node", "no-such-node"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			err := jsdtest.Try(t, c.arguments...)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestWithoutAnEngine(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none"))
	for _, arguments := range [][]string{
		{"--driver", "docker"},
		{"--driver", "auto", "--secret", "s"},
		{"--driver", "auto", "--runtime", "runsc"},
		{"--driver", "auto", "--listen", "0.0.0.0:0", "--insecure"},
	} {
		if err := jsdtest.Try(t, arguments...); !errors.Is(err, docker.ErrNoEngine) || strings.Count(err.Error(), "--driver process") != 1 {
			t.Errorf("%v: got %v, want ErrNoEngine and one way out", arguments, err)
		}
	}
	if d := start(t, "auto"); d.Driver() != "process" {
		t.Errorf("auto on loopback takes %s, want process", d.Driver())
	}
}

func TestEnvironmentOfJavascriptd(t *testing.T) {
	for _, c := range []struct {
		environment map[string]string
		arguments   []string
		listen      string
		timeout     time.Duration
		maximum     time.Duration
		bad         bool
	}{
		{map[string]string{"PORT": "9000"}, nil, "127.0.0.1:9000", 3 * time.Second, time.Minute, false},
		{map[string]string{"PORT": "9000"}, []string{"--secret", "s"}, ":9000", 3 * time.Second, time.Minute, false},
		{map[string]string{"PORT": "9000"}, []string{"--jwt-key-file", "keys.pem"}, ":9000", 3 * time.Second, time.Minute, false},
		{map[string]string{"PORT": "9000"}, []string{"--listen", "127.0.0.1:1"}, "127.0.0.1:1", 3 * time.Second, time.Minute, false},
		{map[string]string{"PORT": "9000", "SECRET": "s"}, []string{"--secret", "s", "--listen", "127.0.0.1:8765"}, "127.0.0.1:8765", 3 * time.Second, time.Minute, false},
		{map[string]string{"TIMEOUT": "90000"}, []string{"--timeout", "2s"}, "127.0.0.1:8765", 2 * time.Second, time.Minute, false},
		{map[string]string{"TIMEOUT": "90000"}, nil, "127.0.0.1:8765", 90 * time.Second, 90 * time.Second, false},
		{map[string]string{"TIMEOUT": "500"}, nil, "127.0.0.1:8765", 500 * time.Millisecond, time.Minute, false},
		{map[string]string{"TIMEOUT": "soon"}, nil, "", 0, 0, true},
		{map[string]string{"TIMEOUT": "0"}, nil, "", 0, 0, true},
	} {
		var s daemon.Settings
		parser, err := kong.New(&s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(c.arguments); err != nil {
			t.Fatal(err)
		}
		err = s.Resolve(func(name string) string { return c.environment[name] })
		if c.bad != (err != nil) {
			t.Errorf("%v: error %v", c.environment, err)
		}
		if !c.bad && (s.Listen != c.listen || s.Timeout != c.timeout || s.MaxTimeout != c.maximum) {
			t.Errorf("%v %v: %s %v %v", c.environment, c.arguments, s.Listen, s.Timeout, s.MaxTimeout)
		}
	}
}
