package docker

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/client"
	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/containers"
)

// buildProbe makes an image that runs testdata/probe instead of the agent.
func buildProbe(t *testing.T, engine *client.Client) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", binary, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	return buildFrom(t, engine, "COPY probe /probe\nENTRYPOINT [\"/probe\"]\n", "probe", string(text))
}

// probe gives the error of each call that the probe makes under a profile.
func probe(t *testing.T, d specDriver, option string) map[string]syscall.Errno {
	t.Helper()
	d.Driver.seccomp = option
	said, err := io.ReadAll(start(t, d))
	if err != nil && len(said) == 0 {
		t.Fatal(err)
	}
	errs := make(map[string]syscall.Errno)
	for line := range strings.Lines(string(said)) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), "=")
		errno, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("the probe says %q", line)
		}
		errs[name] = syscall.Errno(errno)
	}
	return errs
}

// What the profile leaves of the calls that other profiles give away, or that would leave a container.
func TestProfileRefuses(t *testing.T) {
	_, engine := needDriver(t)
	d := newDriver(t, engine, buildProbe(t, engine))
	ours := d.seccomp
	withDockers, with, without := probe(t, d, "no-new-privileges"), probe(t, d, ours), probe(t, d, "seccomp=unconfined")
	allowed := []string{"clone none", "socketpair AF_UNIX", "ioctl TCGETS", "prctl GET_NO_NEW_PRIVS", "statx"}
	absent := strings.Fields(`clone3 pidfd_open pidfd_getfd pidfd_send_signal execveat memfd_create
		io_uring_setup io_uring_enter io_uring_register pkey_alloc splice`)
	want := make(map[string]syscall.Errno)
	for name := range without {
		want[name] = syscall.EPERM
		if strings.HasPrefix(name, "socket ") {
			want[name] = syscall.EAFNOSUPPORT
		}
	}
	for _, name := range allowed {
		want[name] = without[name]
	}
	for _, name := range absent {
		want[name] = syscall.ENOSYS
	}
	if len(with) < 70 || len(with) != len(want) {
		t.Errorf("%d calls with the profile, %d without one", len(with), len(want))
	}
	for name, errno := range with {
		if errno != want[name] {
			t.Errorf("%s: %v, want %v", name, errno, want[name])
		}
		refused := errno == syscall.EPERM || errno == syscall.ENOSYS || errno == syscall.EAFNOSUPPORT
		if refused && errno == without[name] {
			t.Errorf("%s: %v also without a profile: nothing is shown", name, errno)
		}
		if !refused && withDockers[name] != without[name] {
			t.Errorf("%s: %v, where the engine's own profile gives %v", name, errno, withDockers[name])
		}
	}
}

// What Node and packages do must go on working. Each line is a script that throws where it does not.
func TestProfileAllows(t *testing.T) {
	d, engine := needDriver(t)
	id := start(t, d).ID()
	for name, script := range map[string]string{
		"files": `const f = '/tmp/f', g = '/tmp/g'; fs.writeFileSync(f, 'x'); fs.appendFileSync(f, 'y'); fs.copyFileSync(f, g); fs.cpSync(f, '/tmp/h');
			fs.renameSync(g, g + 2); fs.symlinkSync(f, '/tmp/l'); fs.linkSync(f, '/tmp/k'); fs.chmodSync(f, 0o600); fs.utimesSync(f, 1, 2); fs.realpathSync.native('/tmp/l');
			fs.truncateSync(f, 1); fs.mkdirSync('/tmp/d/e', { recursive: true }); fs.readdirSync('/tmp'); fs.statfsSync('/tmp'); fs.rmSync('/tmp/d', { recursive: true });
			const h = await fs.promises.open(f, 'r+'); await h.writev([Buffer.from('a'), Buffer.from('b')], 0); await h.sync(); await h.datasync(); await h.close()`,
		"streams": `fs.writeFileSync('/tmp/s', 'x'.repeat(1e5)); await require('stream/promises').pipeline(fs.createReadStream('/tmp/s'), require('zlib').createGzip(), fs.createWriteStream('/tmp/z'))`,
		"threads": `await new Promise((done, fail) => new (require('worker_threads').Worker)('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)', { eval: true }).on('exit', done).on('error', fail))`,
		"processes": `const cp = require('child_process'); if (String(cp.execSync('echo hi | cat; ls -l / >/dev/null && cp /bin/true /tmp/t')) !== 'hi\n') throw 1;
			fs.writeFileSync('/tmp/c.js', 'process.on("message", (m) => { process.send(m); process.disconnect(); })');
			const c = cp.fork('/tmp/c.js'); c.send(1); if (await new Promise((done) => c.on('message', done)) !== 1) throw 2`,
		"crypto": `const c = require('crypto'); await require('util').promisify(c.scrypt)('a', 'b', 32); c.generateKeyPairSync('ed25519'); c.randomBytes(9);
			await c.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign'])`,
		"WebAssembly": `const m = new WebAssembly.Memory({ initial: 10, maximum: 1000 }); m.grow(5); await WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))`,
		"machine":     `const os = require('os'); os.cpus(); os.totalmem(); os.loadavg(); os.uptime(); os.userInfo(); os.setPriority(1); process.resourceUsage(); process.report.getReport(); process.title = 'x'`,
		"profiler":    `const s = new (require('inspector').Session)(); s.connect(); s.post('Profiler.enable'); s.post('Profiler.start'); for (const t = Date.now(); Date.now() - t < 50;); s.post('Profiler.stop')`,
		"SQLite":      `const d = new (require('node:sqlite').DatabaseSync)('/tmp/db'); d.exec('create table a(b); insert into a values (1)'); d.close()`,
	} {
		quoted := strings.ReplaceAll("(async () => {"+script+"})().then(() => console.log('done'))", "'", `'\''`)
		if got := inside(t, engine, id, "node -e '"+quoted+"'"); got != "done" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Machine code in an image has threads, memory and processes like Node's own.
func TestProfileAllowsAddons(t *testing.T) {
	_, engine := needDriver(t)
	if _, err := exec.LookPath("cc"); err != nil && os.Getenv("JSD_TEST_REQUIRE") != "all" {
		t.Skip(err)
	}
	binary := filepath.Join(t.TempDir(), "addon.node")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-pthread", "-o", binary, "testdata/addon.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, engine, buildFrom(t, engine, "COPY addon.node /addon.node\n", "addon.node", string(text)))
	if got := inside(t, engine, start(t, d).ID(), `node -p "require('/addon.node')"`); got != "42" {
		t.Errorf("got %s", got)
	}
}

// Where the engine or the kernel does not do with the profile, the error says so.
func TestProfileThatDoesNotWork(t *testing.T) {
	d, _ := needDriver(t)
	ours := d.seccomp
	d.seccomp = strings.Replace(ours, seccompRefuse, "SCMP_ACT_NONE", 1)
	if p, err := d.Start(t.Context()); !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), "libseccomp") {
		t.Errorf("started %v, %v", p, err)
	}
	for call, words := range map[string]string{"mmap": saidNothing, "socketpair": "spawn EPERM"} {
		d.seccomp = strings.Replace(ours, `"`+call+`"`, `"getpid"`, 1)
		p := start(t, d)
		_, err := containers.Open(t.Context(), p, limits, zerolog.Nop())
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("without %s: %v", call, err)
		}
	}
}
