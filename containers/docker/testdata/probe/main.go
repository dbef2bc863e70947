// Probe makes system calls that scripts cannot make by themselves, and prints a line for each: its name and the
// number of the error. No call does anything where it is allowed, since its arguments are bad.
package main

import (
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	bad    = 1           // no address, nor a file: nothing is open there but the standard input
	none   = ^uintptr(0) // no file, no flags, no ID
	nobody = 0x7ffffffe  // a process that is not there
)

type call struct {
	name   string
	number uintptr
	args   [6]uintptr
}

func a(args ...uintptr) (six [6]uintptr) {
	copy(six[:], args)
	return six
}

// Namespaces, each in a clone that is refused for the other flag: CLONE_SIGHAND wants CLONE_VM.
func namespaces() (calls []call) {
	for name, flag := range map[string]uintptr{
		"none": 0, "NEWNS": unix.CLONE_NEWNS, "NEWCGROUP": unix.CLONE_NEWCGROUP, "NEWUTS": unix.CLONE_NEWUTS, "NEWIPC": unix.CLONE_NEWIPC,
		"NEWUSER": unix.CLONE_NEWUSER, "NEWPID": unix.CLONE_NEWPID, "NEWNET": unix.CLONE_NEWNET,
	} {
		calls = append(calls, call{"clone " + name, unix.SYS_CLONE, a(flag | unix.CLONE_SIGHAND)})
	}
	return calls
}

// Families, each in a socket that is refused for its kind.
func families() (calls []call) {
	for name, family := range map[string]uintptr{
		"AF_UNIX": unix.AF_UNIX, "AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_NETLINK": unix.AF_NETLINK,
		"AF_PACKET": unix.AF_PACKET, "AF_ALG": unix.AF_ALG, "AF_VSOCK": unix.AF_VSOCK, "AF_XDP": unix.AF_XDP,
	} {
		calls = append(calls, call{"socket " + name, unix.SYS_SOCKET, a(family, 0x10)}, call{"socketpair " + name, unix.SYS_SOCKETPAIR, a(family, 0x10)})
	}
	return calls
}

var calls = []call{
	{"unshare", unix.SYS_UNSHARE, a(none)},
	{"setns", unix.SYS_SETNS, a(none)},
	{"clone3", unix.SYS_CLONE3, a(bad, 0)},
	{"mount", unix.SYS_MOUNT, a(bad, bad, bad)},
	{"umount2", unix.SYS_UMOUNT2, a(bad, none)},
	{"open_tree", unix.SYS_OPEN_TREE, a(none, bad, none)},
	{"mount_setattr", unix.SYS_MOUNT_SETATTR, a(none, bad, none)},
	{"chroot", unix.SYS_CHROOT, a(bad)},
	{"name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, a(none, bad, bad, bad, none)},
	{"mknodat", unix.SYS_MKNODAT, a(none, bad, unix.S_IFIFO)},
	{"setxattr", unix.SYS_SETXATTR, a(bad, bad, bad, 0, none)},
	{"inotify_init1", unix.SYS_INOTIFY_INIT1, a(none)},
	{"syncfs", unix.SYS_SYNCFS, a(none)},
	{"quotactl", unix.SYS_QUOTACTL, a(none, bad)},

	{"ptrace", unix.SYS_PTRACE, a(unix.PTRACE_ATTACH, nobody)},
	{"process_vm_readv", unix.SYS_PROCESS_VM_READV, a(nobody, bad, 0, bad, 0, none)},
	{"process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, a(nobody, bad, 0, bad, 0, none)},
	{"process_madvise", unix.SYS_PROCESS_MADVISE, a(none, bad, 0, 0, none)},
	{"kcmp", unix.SYS_KCMP, a(nobody, nobody)},
	{"pidfd_open", unix.SYS_PIDFD_OPEN, a(nobody, none)},
	{"pidfd_getfd", unix.SYS_PIDFD_GETFD, a(none, none, none)},
	{"pidfd_send_signal", unix.SYS_PIDFD_SEND_SIGNAL, a(none, 0, 0, none)},
	{"personality", unix.SYS_PERSONALITY, a(0xffffffff)},
	{"capset", unix.SYS_CAPSET, a(bad, bad)},
	{"setresuid", unix.SYS_SETRESUID, a(none, none, none)},
	{"execveat", unix.SYS_EXECVEAT, a(none, bad, bad, bad, none)},
	{"memfd_create", unix.SYS_MEMFD_CREATE, a(bad, none)},

	{"bpf", unix.SYS_BPF, a(0, bad, 1<<20)},
	{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, a(bad, 0, 0, 0, none)},
	{"userfaultfd", unix.SYS_USERFAULTFD, a(0x1001)},
	{"io_uring_setup", unix.SYS_IO_URING_SETUP, a(1, bad)},
	{"io_uring_enter", unix.SYS_IO_URING_ENTER, a(none)},
	{"io_uring_register", unix.SYS_IO_URING_REGISTER, a(none)},
	{"io_setup", unix.SYS_IO_SETUP, a(0, bad)},
	{"seccomp", unix.SYS_SECCOMP, a(none)},
	{"keyctl", unix.SYS_KEYCTL, a(nobody)},
	{"add_key", unix.SYS_ADD_KEY, a(bad, bad, bad)},
	{"request_key", unix.SYS_REQUEST_KEY, a(bad, bad, bad)},
	{"pkey_alloc", unix.SYS_PKEY_ALLOC, a(none)},
	{"mlockall", unix.SYS_MLOCKALL, a(0)},
	{"splice", unix.SYS_SPLICE, a(none, 0, none, 0, 1)},

	{"shmget", unix.SYS_SHMGET, a(0, 0, 0)},
	{"semget", unix.SYS_SEMGET, a(0, none, 0)},
	{"mq_open", unix.SYS_MQ_OPEN, a(bad)},
	{"timer_create", unix.SYS_TIMER_CREATE, a(nobody)},
	{"rt_sigqueueinfo", unix.SYS_RT_SIGQUEUEINFO, a(nobody, 0, bad)},
	{"settimeofday", unix.SYS_SETTIMEOFDAY, a(bad)},
	{"adjtimex", unix.SYS_ADJTIMEX, a(bad)},

	{"bind", unix.SYS_BIND, a(none)},
	{"connect", unix.SYS_CONNECT, a(none)},
	{"listen", unix.SYS_LISTEN, a(none)},
	{"accept4", unix.SYS_ACCEPT4, a(none)},

	{"ioctl TIOCSTI", unix.SYS_IOCTL, a(none, unix.TIOCSTI)},
	{"ioctl TIOCSETD", unix.SYS_IOCTL, a(none, unix.TIOCSETD)},
	{"ioctl TCGETS", unix.SYS_IOCTL, a(none, unix.TCGETS)},
	{"prctl SET_SECCOMP", unix.SYS_PRCTL, a(unix.PR_SET_SECCOMP, 99)},
	{"prctl SET_PTRACER", unix.SYS_PRCTL, a(unix.PR_SET_PTRACER, nobody)},
	{"prctl GET_NO_NEW_PRIVS", unix.SYS_PRCTL, a(unix.PR_GET_NO_NEW_PRIVS)},
	{"statx", unix.SYS_STATX, a(none, bad, none)},
}

func main() {
	runtime.LockOSThread()
	for _, c := range append(append(calls, namespaces()...), families()...) {
		_, _, errno := syscall.RawSyscall6(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		fmt.Printf("%s=%d\n", c.name, errno)
	}
}
