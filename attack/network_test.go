package attack

import (
	"encoding/json"
	"fmt"
	"testing"
)

// Ways to places that the policy does not list, or whose addresses it does not.
func networkTheme() theme {
	to := func(name, tries, body string) attack {
		return attack{name: name, tries: tries, want: `["allowed",[]]`, script: script{"code": `
const got = []; const attempt = async (name, f) => { try { got.push(name + ' ' + await f()) } catch {} };
const text = async (url, init) => (await fetch(url, { signal: AbortSignal.timeout(3000), ...init })).text();
(async () => { ` + body + `; return [await text('http://127.0.0.1:$ALLOWED/'), got] })()`}}
	}
	return theme{
		name:   "network",
		policy: `hosts: ["127.0.0.1:$ALLOWED", "localhost:$ALLOWED", "docker.test"], networks: [127.0.0.0/8]`,
		attacks: []attack{
			to("another port", "a port of the same host that is not listed",
				`await attempt('fetch', () => text('http://127.0.0.1:$FORBIDDEN/')); await attempt('name', () => text('http://localhost:$FORBIDDEN/'))`),
			to("forms of an address", "the same address as decimal, octal, hexadecimal, IPv6, mapped, with a dot behind",
				`for (const host of ['2130706433', '0177.0.0.1', '0x7f.1', '127.1', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '127.0.0.1.', 'localhost.',
'[64:ff9b::7f00:1]', '0', '0.0.0.0', '[::]']) await attempt(host, () => text('http://' + host + ':$FORBIDDEN/'))`),
			to("redirect", "an allowed server that sends elsewhere",
				`await attempt('redirect', () => text('http://127.0.0.1:$ALLOWED/redirect'));
await attempt('other', () => text('http://localhost:$ALLOWED/redirect', { method: 'POST', body: 'x' }))`),
			to("metadata", "where clouds keep the machine's credentials",
				`for (const url of ['http://169.254.169.254/latest/meta-data/', 'http://[fd00:ec2::254]/', 'http://metadata.google.internal/',
'http://2852039166/', 'http://169.254.170.2/v2/credentials',
'http://100.100.100.200/']) await attempt(url, () => text(url, { headers: { 'Metadata-Flavor': 'Google' } }))`),
			to("proxies and hosts in headers", "an allowed server taken for a proxy, and other hosts in what is sent",
				`const http = require('http'), net = require('net');
const ask = (options) => new Promise((done, failed) => { const r = http.request({ timeout: 2000, ...options }, (res) => { res.resume();
done(res.statusCode === 200 ? undefined : res.statusCode) }); r.on('error', failed); r.on('connect', (res) => failed(res)); r.end() });
await attempt('agent', () => ask({ host: '127.0.0.1', port: $ALLOWED, agent: new http.Agent({ host: '127.0.0.1', port: $FORBIDDEN }) }).then(() => { throw 1 }));
await attempt('createConnection', () => new Promise((done, failed) => http.get({ host: '127.0.0.1', port: $ALLOWED, createConnection: () => net.connect($FORBIDDEN, '127.0.0.1') }, () => done('connected')).on('error', failed)));
await attempt('lookup', () => new Promise((done, failed) => net.connect({ host: 'docker.test', port: $FORBIDDEN, lookup: (h, o, cb) => cb(null, [{ address: '127.0.0.1', family: 4 }]) }, () => done('connected')).on('error', failed)))`),
			to("sockets of files, UDP and servers", "what is no connection to a listed host",
				`const net = require('net');
for (const path of ['/var/run/docker.sock', '\0abstract',
'./x']) await attempt(path, () => new Promise((done, failed) => net.connect({ path }, () => done('connected')).on('error', failed)));
await attempt('listen', () => new Promise((done, failed) => net.createServer().on('error', failed).listen(0, () => done('listens'))));
for (const name of ['dgram', 'dns', 'http2', 'cluster']) await attempt(name, () => typeof require(name));
await attempt('fd', () => new Promise((done, failed) => new net.Socket({ fd: 3 }).on('data', () => done('read')).on('error', failed)))`),
			to("many at once", "a hundred connections to a place that may not be reached",
				`await Promise.all(Array.from({ length: 100 }, (_, i) => attempt('c' + i, () => text('http://127.0.0.' + (i + 1) + ':$FORBIDDEN/'))))`),
		},
	}
}

// What belongs to other calls and other tenants, by the names and numbers that the protocol has for it.
func tenantsTheme() theme {
	return theme{name: "tenants", attacks: []attack{
		{
			name: "another's bundle", tries: "a folder that another tenant put, by its hash",
			script: script{"call": "f"}, want: "1009",
			before: func(t *testing.T, _ *siege, c *client, sent script) func() {
				put := c.call("runtime.put", script{"tenant": "neighbour", "files": script{"index.js": "exports.f = () => 'what the neighbour wrote'"}})
				var got struct{ Result struct{ Bundle string } }
				if err := json.Unmarshal([]byte(put.whole), &got); err != nil || got.Result.Bundle == "" {
					t.Fatalf("put: %v", put)
				}
				sent["bundle"] = got.Result.Bundle
				return nil
			},
		},
		{
			name: "another's session", tries: "a session of another connection and tenant, by its name",
			script: script{}, want: "1009",
			before: func(_ *testing.T, s *siege, _ *client, sent script) func() {
				delete(sent, "tenant") // a session says whose it is
				sent["session"], sent["code"] = s.neighbour.session, "sum"
				return nil
			},
		},
		{
			name: "another's execution", tries: "attaching to, cancelling and taking the name of what another tenant runs",
			script: script{"code": `'mine'`, "execution": "theirs"}, want: `"mine"`,
			before: func(t *testing.T, s *siege, c *client, _ script) func() {
				theirs, err := dial(t.Context(), s.daemon.Address)
				if err != nil {
					t.Fatal(err)
				}
				answer := theirs.start("runtime.execute", script{"tenant": "neighbour", "execution": "theirs", "code": "new Promise((done) => setTimeout(done, 500, 'theirs'))", "timeout": 20_000})
				if got := c.call("runtime.attach", script{"tenant": "tenants", "execution": "theirs"}).String(); got != "1009" {
					t.Errorf("attach: %s", got)
				}
				if got := c.call("runtime.cancel", script{"tenant": "tenants", "execution": "theirs"}); got.whole == "" || got.Error != nil {
					t.Errorf("cancel: %v", got)
				}
				return func() {
					if got := await(answer).String(); got != `"theirs"` {
						t.Errorf("the neighbour's execution got %s", got)
					}
					theirs.close()
				}
			},
		},
		{
			name: "names of tenants", tries: "a tenant whose name means something to paths, labels or logs",
			script: script{"code": "1"}, want: "-32602",
			before: func(t *testing.T, _ *siege, c *client, sent script) func() {
				for _, name := range []string{"../neighbour", "neighbour\x00", "NEIGHBOUR/..", "a b", "%6eeighbour", "\u202eneighbour", "x\n{\"level\":\"fatal\"}", "neighbour "} {
					if got := c.execute(script{"tenant": name, "code": "1"}).String(); got != "-32602" {
						t.Errorf("%q: %s", name, got)
					}
				}
				sent["tenant"] = fmt.Sprintf("%065d", 1)
				return nil
			},
		},
		{
			name: "callbacks of others", tries: "asking the client for names that were offered to another call",
			script: script{"code": `Promise.all([['finish', 0], ['__proto__', 0], ['constructor',
0]].map(async ([name]) => { try { return await host[name]() } catch (e) { return e.constructor.name } })).then(String)`, "callbacks": []string{"echo"}},
			want: `"TypeError,TypeError,[object Object]"`,
		},
		{
			name: "what is left by others", tries: "globals, timers, modules and console of calls before and beside it, over all workers",
			script: script{"code": `[typeof rest, typeof host, typeof secrets, Object.keys(globalThis).length, require('events').poisoned === undefined]`},
			want:   `["undefined","undefined","undefined",0,true]`,
		},
		{
			name: "a container for each call", tries: "leaving something for the next call in a container of its own",
			script: script{"code": `Buffer.poisoned = 1; Buffer.constructor('return globalThis')().poisoned = 1; typeof host`, "reuse": "call"}, want: `"undefined"`,
		},
	}}
}
