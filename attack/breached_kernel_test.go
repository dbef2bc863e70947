package attack

import (
	"encoding/json"
	"strings"
	"testing"
)

// What is outside of the container: the kernel, its files and devices, the network, the engine. On Linux the seccomp
// profile and the missing capabilities stand before it; gVisor has a kernel of its own, in which some calls work
// that reach nothing but that kernel.
func kernelTheme() theme {
	const marked = `const made = [];
const make = async (path, f) => { if (await attempt(f ?? (() => fs.writeFileSync(path, 'MARKER'))) === 'done') made.push(path) };`
	return theme{name: "breached-kernel", breached: true, attacks: []attack{
		{
			name: "without the permission model", tries: "what workerTheme tries in vain: here it works, as far as the container lets it, so that it is known to be tried well",
			script: script{"code": harm + `for (const name of ['kill', '_kill', 'abort', '_debugProcess']) delete breach.process[name];
harm(breach.process.constructor.constructor).then((got) => ['/etc/passwd', '/proc/self/mem', '/proc',
'write /tmp/MARKER', 'link', 'spawn', 'thread', 'add-on', 'wasi', 'database'].filter((name) => !got.some((each) => each.startsWith(name + ' '))))`},
			want: `[]`, stays: true,
		},
		holds("system calls", "eighty calls that a container has no use for", `return probe('syscalls')`, `[]`).gvisor(anything).checked(onlyWhatGVisorTakes).leaves(),
		holds("namespaces", "children in namespaces of their own, where they would be root", `return probe('namespaces').sort()`, `[]`).gvisor(`["mount","user"]`).leaves(),
		holds("sockets", "families of sockets: internet, netlink, packets, the hypervisor's, the kernel's crypto", `return probe('sockets').sort()`, `[]`).gvisor(`["inet","inet6","netlink","udp","unix"]`),
		holds("connections", "the daemon, servers of the machine, metadata, a name server, the engine's socket", `
return probe('connect', 'tcp', '127.0.0.1:$FORBIDDEN', 'tcp', '127.0.0.1:$ALLOWED', 'tcp', '169.254.169.254:80', 'tcp', '172.17.0.1:80', 'tcp', '10.0.2.2:80', 'udp', '127.0.0.53:53', 'udp', '8.8.8.8:53', 'tcp', '[fd00:ec2::254]:80', 'unix', '/var/run/docker.sock', 'unix', '/run/docker.sock', 'unix', '/run/containerd/containerd.sock', 'unix', '@/containerd-shim', 'tcp', 'host.docker.internal:2375')`, `[]`).gvisor(`["127.0.0.53:53"]`),
		holds("interfaces", "network devices and routes", `return read('/proc/net/dev').split('\n').slice(2).map((line) => line.split(':')[0].trim()).filter((name) => name && name !== 'lo')`, `[]`),
		holds("capabilities", "what its status says: no capability, not now and not by any program",
			`const s = read('/proc/self/status'); const of = (name) => new RegExp('^' + name + ':\\s*(.*)', 'm').exec(s)?.[1];
return [of('CapEff'), of('CapPrm'), of('CapBnd'), of('CapAmb'), of('NoNewPrivs') ?? '1', of('Uid').split('\t')[0]]`, `["0000000000000000","0000000000000000","0000000000000000","0000000000000000","1","65534"]`).gvisor(`["0000000000000000","0000000000000000","0000000000000000",null,"1","65534"]`),
		holds("programs that make root", "each program in the image with a set-uid bit: none gives another user",
			`const all = (await attempt(() => shell('find / -xdev -perm -4000 -type f 2>/dev/null; true'))).split('\n').filter(Boolean); const got = [];
for (const file of all) { const said = await attempt(() => child.execFileSync('/bin/sh', ['-c',
'echo id | timeout 0.5 ' + file + ' root -c id 2>&1; true'], { encoding: 'utf8' })); if (/uid=0|euid=0/.test(said)) got.push(file) }
return [all.length > 0, got]`, `[true,[]]`, `[false,[]]`),
		holds("the machine's settings", "writing to /proc/sys, /proc/sysrq-trigger, /sys, and what hotplug and core dumps run", marked+`
for (const path of ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/kernel/hostname', '/proc/sys/vm/overcommit_memory',
'/proc/sys/fs/binfmt_misc/register', '/proc/sys/net/ipv4/ip_forward', '/proc/sysrq-trigger', '/proc/irq/default_smp_affinity', '/proc/mtrr',
'/sys/kernel/uevent_helper', '/sys/power/state', '/sys/kernel/debug/x', '/sys/kernel/mm/transparent_hugepage/enabled',
'/sys/module/kernel/parameters/panic', '/sys/fs/selinux/enforce', '/proc/1/attr/current', '/proc/self/attr/exec', '/proc/self/uid_map',
'/proc/self/setgroups', '/proc/self/loginuid', '/proc/1/timens_offsets']) await make(path);
return made`, `[]`),
		holds("control groups", "release_agent, limits and processes of its control group, and of those above", marked+`
const below = (dir, deep) => { let found = [];
try { for (const name of fs.readdirSync(dir, { withFileTypes: true })) { const path = dir + '/' + name.name;
if (name.isDirectory()) { if (deep > 0) found = found.concat(below(path, deep - 1)) } else if (/release_agent|notify_on_release|cgroup.procs|memory.limit|memory.max|pids.max|cpu.max|tasks|devices.allow/.test(name.name)) found.push(path) } } catch {}
return found };
for (const path of below('/sys/fs/cgroup', 4)) await make(path, () => fs.writeFileSync(path, '1'));
await make('/sys/fs/cgroup/MARKER', () => fs.mkdirSync('/sys/fs/cgroup/MARKER')); return made`, `[]`),
		holds("devices", "memory, disks, kernel log, virtual machines, terminals and tunnels", `
const got = [];
for (const name of ['mem', 'kmem', 'port', 'sda', 'vda', 'nvme0n1', 'kmsg', 'kvm', 'fuse', 'net/tun', 'loop-control', 'loop0', 'dm-0',
'mapper/control', 'vhost-vsock', 'hwrng', 'rtc0', 'tty0', 'console', 'input/event0', 'snapshot', 'cpu_dma_latency', 'userfaultfd', 'uinput',
'dri/card0', 'vfio/vfio', 'vsock', 'watchdog']) for (const flags of ['r',
'r+']) if (await attempt(() => { fs.openSync('/dev/' + name, flags) }) === 'done') got.push(name + ' ' + flags); return got`, `[]`).gvisor(`["fuse r","fuse r+","net/tun r","net/tun r+"]`),
		holds("kernel secrets", "what /proc and /sys tell of the machine", `
const got = [];
for (const path of ['/proc/kcore', '/proc/kallsyms', '/proc/kmsg', '/proc/keys', '/proc/timer_list', '/proc/sched_debug', '/proc/latency_stats',
'/proc/scsi/scsi', '/sys/firmware/efi', '/sys/firmware/dmi/tables/DMI', '/proc/acpi/wakeup', '/sys/kernel/security',
'/sys/class/dmi/id/product_uuid', '/proc/vmallocinfo', '/proc/slabinfo', '/proc/pagetypeinfo']) { const text = read(path).slice(0, 4096);
if (/[1-9a-f]/.test(text.replace(/^.*\n/, '')) && !/^0+ /.test(text)) got.push(path) } return got`, `[]`),
		holds("the machine's files", "by every name and way that leads out of a root: /proc/PID/root, cwd, descriptors, mounts", `
const got = [];
for (const path of ['/etc/shadow', '/root/.ssh', '/root/.docker/config.json', '/var/lib/docker', '/var/lib/containerd', '/var/run/docker.sock',
'/run/docker.sock', '/host', '/mnt', '/.dockerenv', '/proc/1/root/etc/shadow', '/proc/1/root/root', '/proc/self/root/var/lib/docker',
'/proc/1/cwd/var/run/docker.sock', '/proc/self/fd/3/../../..', '/dev/fd/0/../..',
'/proc/sys/fs/binfmt_misc/status']) { const it = await attempt(() => (fs.statSync(path).isDirectory() ? fs.readdirSync(path).length : fs.readFileSync(path, 'latin1').length));
if (typeof it === 'number' && it > 0) got.push(path) }
const mounts = read('/proc/self/mountinfo').split('\n').filter((line) => / - (ext4|xfs|btrfs|nfs|9p|virtiofs) /.test(line)).map((line) => line.split(' ')).filter(([,
, , , at,
how]) => at !== '/' && !(/^\/run\/jsd\/(in|out)$/.test(at) && fs.statSync(at).isFIFO()) && !(/^\/(etc\/(resolv.conf|hostname|hosts)|(usr\/)?sbin\/docker-init|dev\/init)$/.test(at) && /^ro\b/.test(how))).map(([, , , ,
at, how]) => at + ' ' + how); return [got, mounts]`, `[[],[]]`),
		holds("files anywhere", "writing to each folder there is", marked+`
for (const dir of ['/', '/etc', '/root', '/opt/jsd', '/usr/local/lib/node_modules', '/var', '/var/tmp', '/run', '/run/lock', '/dev', '/dev/shm',
'/dev/mqueue', '/home', '/srv', '/proc', '/sys', '/boot', '/lib', '/mnt']) await make(dir + '/MARKER');
for (const path of ['/etc/hosts', '/etc/resolv.conf', '/etc/hostname', '/opt/jsd/worker/worker.js', '/opt/jsd/agent/agent.js', '/usr/local/bin/node',
'/sbin/docker-init', '/etc/passwd', '/etc/ld.so.preload']) await make(path, () => fs.closeSync(fs.openSync(path, 'r+')));
return made`, `[]`),
		holds("links in /tmp", "links, hard links and pipes that somebody outside might follow or open", `
await attempt(() => fs.symlinkSync('/etc/shadow', '/tmp/MARKER'));
await attempt(() => fs.symlinkSync('/proc/self/root/../../../..', '/tmp/MARKER-root'));
await attempt(() => fs.symlinkSync('/tmp/MARKER-b', '/tmp/MARKER-a')); await attempt(() => fs.symlinkSync('/tmp/MARKER-a', '/tmp/MARKER-b'));
for (let i = 0; i < 1000; i++) await attempt(() => fs.symlinkSync('../'.repeat(i % 50) + 'var/run/docker.sock', '/tmp/MARKER-l' + i));
const hard = await attempt(() => fs.linkSync('/opt/jsd/agent/agent.js', '/tmp/MARKER-hard'));
return [await attempt(() => fs.readFileSync('/tmp/MARKER')), await attempt(() => fs.readdirSync('/tmp/MARKER-root').includes('.dockerenv')), hard]`, `["EACCES",true,"EXDEV"]`).gvisor(`["EACCES",true,"EPERM"]`, `["ENOENT",true,"EXDEV"]`).leaves(),
		holds("programs in /tmp", "running what it wrote itself", `fs.copyFileSync('/bin/true', '/tmp/MARKER'); fs.chmodSync('/tmp/MARKER', 0o4777);
return [await attempt(() => child.execFileSync('/tmp/MARKER')),
(fs.statSync('/tmp/MARKER').mode & 0o4000) !== 0 && await attempt(() => child.execFileSync('/tmp/MARKER'))]`, `["EACCES","EACCES"]`, `["EACCES",false]`).leaves(),
		holds("core dumps", "a process that crashes with its folder in /tmp, and a pattern of its own", `await attempt(() => shell('cd /tmp; ulimit -c unlimited; kill -SEGV $$'));
await sleep(200);
return [fs.readdirSync('/tmp').filter((name) => /core/.test(name)),
read('/proc/self/limits').split('\n').find((line) => /core/.test(line))?.replace(/\s+/g, ' ').trim()]`, `[[],"Max core file size 0 0 bytes"]`).gvisor(`[[],null]`),
		holds("shared memory", "segments, queues and sockets that other containers could have", `return [fs.existsSync('/dev/shm'),
fs.existsSync('/dev/mqueue'), read('/proc/sysvipc/shm').split('\n').length > 2,
read('/proc/net/unix').split('\n').slice(1).filter((line) => /@|\//.test(line)).length]`, `[false,true,false,0]`).gvisor(`[true,false,false,0]`, `[false,false,false,0]`),
		holds("its own limits", "what is enforced on it, as far as it can see", `const fd = read('/proc/self/limits').split('\n').find((line) => /open files/.test(line)) ?? '';
return [/ 1024 +1024 /.test(fd), fs.statfsSync('/tmp').blocks * fs.statfsSync('/tmp').bsize <= 16 << 20,
await attempt(() => fs.writeFileSync('/opt/MARKER', ''))]`, `[true,true,"EROFS"]`).gvisor(`[false,true,"EACCES"]`),
	}}
}

// gVisorTakes are the calls that gVisor's kernel answers by itself, if only to refuse what was asked.
const gVisorTakes = "ptrace perf_event_open io_uring_setup add_key request_key keyctl unshare user unshare mount setns syslog personality mknod device mknod pipe " +
	"open_by_handle_at name_to_handle_at memfd_create execveat shmget msgget semget mq_open inotify_init inotify_init1 timer_create capset seccomp get_mempolicy "

func onlyWhatGVisorTakes(t *testing.T, _ *siege, got reply) {
	var took []string
	if err := json.Unmarshal(got.Result.Value, &took); err != nil {
		t.Errorf("%v: %v", got, err)
	}
	for _, name := range took {
		if !strings.Contains(gVisorTakes, name+" ") {
			t.Errorf("%s is taken", name)
		}
	}
}
