package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/daemon"
)

func TestExecBadInput(t *testing.T) {
	t.Chdir(folder(t,
		"a.js", "1",
		"latin1.js", "'\xe9'",
		"folder/a.js", "1",
		"folder/latin1.js", "'\xe9'",
		"folder/node_modules/b/index.js", "1",
	))
	if err := os.Symlink("a.js", "folder/link.js"); err != nil {
		t.Fatal(err)
	}
	write(t, "huge.js", strings.Repeat(" ", daemon.MaxFrame+1))
	t.Setenv("JSD_DAEMON", "127.0.0.1:1") // bad input is found before anybody is asked
	for _, c := range []struct {
		name, want string
		arguments  []string
	}{
		{"no such file", "none.js: no such file", []string{"none.js"}},
		{"a folder", "folder: is a folder; name a file of it, and the folder with --folder", []string{"folder"}},
		{"not UTF-8", "latin1.js: not UTF-8 text", []string{"latin1.js"}},
		{"too large", "huge.js: more than 16 MiB", []string{"huge.js"}},
		{"args no JSON", "--args: has to be an array as JSON: ", []string{"a.js", "--args=[1,"}},
		{"args empty", "--args: has to be an array as JSON: ", []string{"a.js", "--args="}},
		{"args no array", "--args: has to be an array", []string{"a.js", "--args={}"}},
		{"args too deep", "exceeded max depth", []string{"a.js", "--args=" + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000)}},
		{"globals no object", "--globals: has to be an object", []string{"a.js", "--globals=[]"}},
		{"globals null", "--globals: has to be an object", []string{"a.js", "--globals=null"}},
		{"no such caller", "--caller: open none.js: no such file", []string{"a.js", "--caller=@none.js"}},
		{"timeout below", "--timeout has to be 1ms or more", []string{"a.js", "--timeout=10us"}},
		{"timeout without a unit", "--timeout", []string{"a.js", "--timeout=500"}},
		{"language", "--language", []string{"a.js", "--language=cobol"}},
		{"no file", "<file>", nil},
		{"no daemon", "--daemon ftp://x: has to be", []string{"a.js", "--daemon=ftp://x"}},
		{"a setting", "--memory has to be above 0", []string{"a.js", "--daemon=", "--memory=0"}},
		{"a host that is none", "--hosts \"http://a.com\": a host is a name", []string{"a.js", "--daemon=", "--hosts=http://a.com"}},
		{"no such folder", "--folder: ", []string{"a.js", "--folder=none"}},
		{"a folder that is a file", "--folder: ", []string{"a.js", "--folder=a.js"}},
		{"a folder and -", "--folder: the entry is one", []string{"-", "--folder=folder"}},
		{"an entry outside", "../a.js: not in the folder folder", []string{"../a.js", "--folder=folder"}},
		{"an entry by its whole path", "folder/a.js: not in the folder folder; FILE is relative", []string{"folder/a.js", "--folder=folder"}},
		{"an entry that is a link", "link.js: left out of folder, since link.js is: symbolic link", []string{"link.js", "--folder=folder"}},
		{"an entry that is no text", "latin1.js: left out of folder, since latin1.js is: not UTF-8 text", []string{"latin1.js", "--folder=folder"}},
		{"an entry in node_modules", "since node_modules is: node_modules", []string{"node_modules/b/index.js", "--folder=folder"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := command(t, "", append([]string{"exec"}, c.arguments...)...)
			if got.status != statusUsage || got.out != "" || !strings.Contains(got.err, c.want) || strings.Contains(strings.TrimSuffix(got.err, "\n"), "\n") {
				t.Errorf("got %d %.300q, want one line with %q", got.status, got.out+got.err, c.want)
			}
		})
	}
}

func TestExecFromATerminalWithNothing(t *testing.T) {
	terminal, keyboard := openTerminal(t)
	if _, err := keyboard.WriteString("\x04"); err != nil { // end of input
		t.Fatal(err)
	}
	got := commandOn(t, terminal, "exec", "-", "--daemon=127.0.0.1:1")
	if got.status != statusUsage || got.err != "jsd: standard input: nothing was typed; name a file, or pipe a script in\n" {
		t.Errorf("got %+v", got)
	}
}

func openTerminal(t *testing.T) (terminal, keyboard *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	fd := int(keyboard.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, keyboard
}

func TestFolderLeavesOutWhatIsNoModule(t *testing.T) {
	dir := folder(t,
		"main.js", "1",
		"lib/deep/a.ts", "2",
		"lib/data.json", "{}",
		"lib/node_modules/b/index.js", "",
		"node_modules/b/index.js", "",
		".git/config", "", ".env", "PASSWORD=x", "lib/.hidden.js", "",
		"picture.png", "\x89PNG",
	)
	outside := folder(t, "secret.js", "3")
	for name, target := range map[string]string{"file": outside + "/secret.js", "dir": outside, "lib/inside": "../main.js", "broken": "none"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link") // the folder itself may be one
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	files, file, err := readFolder(link, "lib/../main.js", &notes)
	if err != nil || file != "main.js" {
		t.Fatal(file, err)
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, []string{"lib/data.json", "lib/deep/a.ts", "main.js"}) {
		t.Errorf("got %v", got)
	}
	want := strings.ReplaceAll(`jsd: left out of DIR (symbolic link): broken, dir, file, lib/inside
jsd: left out of DIR (node_modules): lib/node_modules, node_modules
jsd: left out of DIR (not UTF-8 text): picture.png
jsd: left out of DIR (not a regular file): pipe
`, "DIR", link)
	if notes.String() != want {
		t.Errorf("said\n%swant\n%s", &notes, want)
	}
}

func TestFolderHasBounds(t *testing.T) {
	large := folder(t, "main.js", "1")
	for i := range 3 {
		write(t, filepath.Join(large, fmt.Sprint(i)), strings.Repeat(" ", daemon.MaxFrame/3+1))
	}
	many := folder(t, "main.js", "1")
	for i := range call.MaxFiles {
		write(t, filepath.Join(many, fmt.Sprint(i)), "")
	}
	for dir, want := range map[string]string{large: "more than 16 MiB", many: "more than 10000 files"} {
		if _, _, err := readFolder(dir, "main.js", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
