package attack

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jsd-project/jsd/jsdtest"
)

const (
	mostPeak = 250 // MiB that the daemon ever had: some times what it has had here, and far less than was thrown at it
	moreHeap = 16  // MiB that it may hold on to
	moreWork = 15  // goroutines and files that idle connections and a spare on its way may take
	mostLog  = 32  // MiB
)

// end checks that nothing is left of all that was tried.
func (s *siege) end(t *testing.T, themes []theme) {
	t.Helper()
	if n := s.outside.reached.Load(); n > 0 {
		t.Errorf("%d connections reached a server that no policy allows", n)
	}
	s.stopAll(t, themes)
	var now figures
	eventually(t, "the daemon is at rest again", func() bool {
		now = s.daemon.figures(t)
		return now.goroutines <= s.rest.goroutines+moreWork && now.files <= s.rest.files+moreWork && now.heap <= s.rest.heap+moreHeap
	})
	if now.peak > mostPeak {
		t.Errorf("jsd had %d MiB", now.peak)
	}
	s.neighbour.undisturbed(t, 0)
	s.neighbour.end()
	t.Logf("at rest: %+v, now %+v, slowest call of the neighbour's: %v of %d", s.rest, now, s.neighbour.slowest, s.neighbour.ended)
	if status := s.daemon.terminate(); status != 0 {
		t.Errorf("jsd ends with status %d", status)
	}
	s.judgeLog(t)
	if left, err := os.ReadDir(s.daemon.dir); err != nil || len(left) > 0 {
		t.Errorf("jsd left %v, %v", left, err)
	}
}

func (s *siege) stopAll(t *testing.T, themes []theme) {
	t.Helper()
	c, err := dial(t.Context(), s.daemon.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, theme := range themes {
		if got := c.call("runtime.stop", script{"tenant": theme.name}); got.Error != nil || got.broken != nil {
			t.Errorf("stop %s: %v", theme.name, got)
		}
	}
}

// judgeLog looks for what must not be in the daemon's log, or could not have been written by it.
func (s *siege) judgeLog(t *testing.T) {
	t.Helper()
	log := s.daemon.Log()
	if len(log) > mostLog<<20 {
		t.Errorf("a log of %d MiB", len(log)>>20)
	}
	for _, word := range []string{credential, neighbourSecret, s.marker, "a-secret-of", "what-only-the-other-call-knows", "panic", "goroutine ", "DATA RACE"} {
		if at := strings.Index(log, word); at >= 0 {
			t.Errorf("%q is in jsd's log: %.300s", word, log[max(0, at-100):])
		}
	}
	for line := range strings.Lines(log) {
		var l struct{ Level, Message, Time string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Level == "" || l.Time == "" || strings.HasPrefix(l.Message, "forged") {
			t.Errorf("a line that jsd did not write: %.200s", line)
			return
		}
	}
}

var core = regexp.MustCompile(`^(vg)?core(\.\d+)?$`)

// judgeMachine checks what all sieges of an engine left on it and on the machine, whose settings were these.
func judgeMachine(t *testing.T, e *jsdtest.Engine, settings string) {
	t.Helper()
	if left := e.Docker("ps", "--all", "--quiet"); len(left) > 0 {
		t.Errorf("containers left: %v", left)
	}
	judgeFiles(t, e)
	if now := settingsOfTheMachine(); now != settings {
		t.Errorf("settings of the machine are %q, were %q", now, settings)
	}
}

// judgeFiles looks for files that scripts made, where the engine works and where everybody may write.
func judgeFiles(t *testing.T, e *jsdtest.Engine) {
	t.Helper()
	for _, top := range []string{e.Dir, os.TempDir(), "/var/tmp", "/dev/shm", "/run", "/etc", "/root", "/"} {
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil // it went meanwhile, or nobody may look there
			}
			if name := entry.Name(); strings.Contains(name, fileMarker) || entry.Type().IsRegular() && core.MatchString(name) && top == e.Dir {
				t.Errorf("left on the machine: %s", path)
			}
			if entry.IsDir() && top != e.Dir && strings.Count(strings.TrimPrefix(path, top), "/") > 1 {
				return fs.SkipDir
			}
			return nil
		})
	}
}

// settingsOfTheMachine are some of those that scripts tried to change.
func settingsOfTheMachine() string {
	all := &strings.Builder{}
	for _, name := range []string{"kernel/core_pattern", "kernel/modprobe", "kernel/hostname", "vm/overcommit_memory", "net/ipv4/ip_forward"} {
		value, _ := os.ReadFile("/proc/sys/" + name)
		all.Write(value)
	}
	return all.String()
}
