package attack

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jsd-project/jsd"
	containersdocker "github.com/jsd-project/jsd/containers/docker"
	"github.com/jsd-project/jsd/jsdtest"
)

const breachedImage = "jsd-breached"

// breach makes the image of those who have won against the agent: its worker hands each script what it has itself,
// Node's permission model is off and nothing of Node missing, and there is a program that makes system calls.
func breach(t *testing.T, e *jsdtest.Engine) {
	t.Helper()
	dir := filepath.Join(e.Dir, "breached")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	jsdtest.Build(t, filepath.Join(dir, "probe"), "./testdata/probe")
	for _, change := range []struct{ file, from, to string }{
		{"worker/worker.js", "context.bridge.call = call;", "context.bridge.call = call; context.global.breach = { process, require, worker: this };"},
		{"worker/worker.js", "delete process[name]", "void name"},
		{"agent/worker-process.js", "[...flags(limits), ", "[...flags(limits).filter((flag) => !/^--(?:permission|allow|no-experimental-sqlite)/.test(flag)), "},
	} {
		path := filepath.Join(dir, filepath.Base(change.file))
		source, err := os.ReadFile(path)
		if err != nil {
			if source, err = fs.ReadFile(jsd.Runtime, "node-agent/"+change.file); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Count(string(source), change.from) != 1 {
			t.Fatalf("%s has no place %q, where scripts would be let in", change.file, change.from)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(source), change.from, change.to, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const dockerfile = "FROM " + containersdocker.DefaultImage + "\nCOPY worker.js /opt/jsd/worker/\nCOPY worker-process.js /opt/jsd/agent/\nCOPY probe /opt/jsd/\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	build := e.Command("build", "--quiet", "--tag", breachedImage, dir)
	build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// won is put in front of scripts that have their worker: what they do with it, in the words of the tables.
const won = `
const { process, require: load } = breach;
const fs = load('node:fs'), child = load('node:child_process'), { encode } = load('../shared/frames.js');
const agent = process.ppid; // whose child a worker is
// What the agent is linked to the daemon by: pipes, or where they do not open its standard streams.
const link = (pipe, fd, how) => { try { return fs.openSync('/run/jsd/' + pipe, how) } catch { return fs.openSync('/proc/' + agent + '/fd/' + fd, how) } };
const linkOut = () => link('out', 1, 'w'), linkIn = () => link('in', 0, 'r');
const attempt = async (f) => { try { return (await f()) ?? 'done' } catch (e) { return e.code ?? e.message } };
const probe = (...args) => JSON.parse(child.execFileSync('/opt/jsd/probe', args.map(String), { encoding: 'utf8', maxBuffer: 1 << 24 }));
const shell = (line, options) => child.execFileSync('/bin/sh', ['-c', line], { encoding: 'utf8', timeout: 10000, stdio: ['ignore', 'pipe', 'ignore'], ...options });
const say = (fd, bytes) => { for (let at = 0; at < bytes.length;) { try { at += fs.writeSync(fd, bytes, at) } catch (e) { if (e.code !== 'EAGAIN') throw e } } };
const read = (file) => { try { return fs.readFileSync(file, 'latin1') } catch { return '' } };
const pids = () => fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const forever = () => new Promise(() => {});
`

// wins makes the script of one that has its worker.
func wins(body string) script {
	return script{"code": won + "(async () => {" + body + "\n})()"}
}

// costs is a row of what a breached worker may cost its own tenant: its calls in that container. Any reply may then
// be what its tenant's other call gets, but it gets one.
func costs(name, tries, body, want string, or ...string) attack {
	return attack{name: name, tries: tries, script: wins(body), want: want, or: or, beside: []string{anything}, stays: true,
		why: "whoever has the worker may end its container, or speak for it"}
}

// holds is a row of what it costs nobody: not even its tenant's other call notices.
func holds(name, tries, body, want string, or ...string) attack {
	return attack{name: name, tries: tries, script: wins(body), want: want, or: or}
}

// leaves is for a row of holds that leaves something in its container.
func (a attack) leaves() attack {
	a.stays = true
	return a
}
