package main

import (
	"os"
	"syscall"
	"unsafe"
)

// A try is a system call with arguments by which it does nothing bad where it is allowed, and which it then
// does not refuse by EPERM or ENOSYS.
type try struct {
	name   string
	number uintptr
	args   [6]uintptr
}

func text(s string) uintptr {
	bytes, _ := syscall.BytePtrFromString(s)
	return uintptr(unsafe.Pointer(bytes))
}

// syscalls gives the names of those that a kernel took.
func syscalls() []string {
	buffer := make([]byte, 4096)
	at := uintptr(unsafe.Pointer(&buffer[0]))
	here := ^uintptr(99) // AT_FDCWD
	got := []string{}
	for _, t := range []try{
		{"ptrace", 101, [6]uintptr{16, 0x3ffffff}}, {"process_vm_readv", 310, [6]uintptr{uintptr(os.Getppid()), at, 1, at, 1}}, {"process_vm_writev", 311, [6]uintptr{uintptr(os.Getppid()), at, 1, at, 1}},
		{"kcmp", 312, [6]uintptr{uintptr(os.Getpid()), uintptr(os.Getppid()), 0}}, {"pidfd_open", 434, [6]uintptr{uintptr(os.Getppid())}}, {"pidfd_getfd", 438, [6]uintptr{0, 0}},
		{"bpf", 321, [6]uintptr{0, at, 72}}, {"perf_event_open", 298, [6]uintptr{at, 0, ^uintptr(0), ^uintptr(0)}}, {"userfaultfd", 323, [6]uintptr{0}},
		{"io_uring_setup", 425, [6]uintptr{8, at}}, {"io_uring_register", 427, [6]uintptr{0}}, {"add_key", 248, [6]uintptr{text("user"), text("k"), at, 1, ^uintptr(3)}},
		{"request_key", 249, [6]uintptr{text("user"), text("k"), 0, ^uintptr(3)}}, {"keyctl", 250, [6]uintptr{0, ^uintptr(3), 1}},
		{"unshare user", 272, [6]uintptr{0x10000000}}, {"unshare mount", 272, [6]uintptr{0x20000}}, {"setns", 308, [6]uintptr{0, 0}},
		{"mount", 165, [6]uintptr{text("none"), text("/tmp"), text("tmpfs"), 0, 0}}, {"umount2", 166, [6]uintptr{text("/tmp"), 2}}, {"pivot_root", 155, [6]uintptr{text("/tmp"), text("/tmp")}}, {"chroot", 161, [6]uintptr{text("/tmp")}},
		{"open_tree", 428, [6]uintptr{here, text("/tmp"), 1}}, {"move_mount", 429, [6]uintptr{here, text("/tmp"), here, text("/tmp")}}, {"fsopen", 430, [6]uintptr{text("tmpfs")}}, {"mount_setattr", 442, [6]uintptr{here, text("/tmp"), 0, at, 32}},
		{"init_module", 175, [6]uintptr{at, 4096, at}}, {"finit_module", 313, [6]uintptr{0, at}}, {"delete_module", 176, [6]uintptr{text("nothing")}}, {"kexec_load", 246, [6]uintptr{0, 0, at}},
		{"reboot", 169, [6]uintptr{1, 2, 3}}, {"swapon", 167, [6]uintptr{text("/tmp")}}, {"acct", 163, [6]uintptr{text("/tmp/acct")}}, {"syslog", 103, [6]uintptr{3, at, 4096}}, {"quotactl", 179, [6]uintptr{0x800004, at, 0, at}},
		{"settimeofday", 164, [6]uintptr{0, at}}, {"clock_settime", 227, [6]uintptr{0, at}}, {"adjtimex", 159, [6]uintptr{0}}, {"sethostname", 170, [6]uintptr{text("x"), 1}}, {"setdomainname", 171, [6]uintptr{text("x"), 1}},
		{"iopl", 172, [6]uintptr{3}}, {"ioperm", 173, [6]uintptr{0x80, 1, 1}}, {"modify_ldt", 154, [6]uintptr{0, at, 16}}, {"personality", 135, [6]uintptr{0x40000}},
		{"mknod device", 133, [6]uintptr{text("/tmp/sda"), 0o60600, 0x800}}, {"mknod pipe", 133, [6]uintptr{text("/tmp/pipe"), 0o10600, 0}}, {"open_by_handle_at", 304, [6]uintptr{here, at, 0}}, {"name_to_handle_at", 303, [6]uintptr{here, text("/"), at, at + 2048, 0}},
		{"memfd_create", 319, [6]uintptr{text("x"), 0}}, {"memfd_secret", 447, [6]uintptr{0}}, {"execveat", 322, [6]uintptr{here, text("/nothing"), 0, 0, 0}}, {"vmsplice", 278, [6]uintptr{0, at, 0}},
		{"shmget", 29, [6]uintptr{0, 4096, 0o1600}}, {"msgget", 68, [6]uintptr{0, 0o1600}}, {"semget", 64, [6]uintptr{0, 1, 0o1600}}, {"mq_open", 240, [6]uintptr{text("x"), 0o102, 0o600, 0}},
		{"fanotify_init", 300, [6]uintptr{0, 0}}, {"inotify_init", 253, [6]uintptr{}}, {"inotify_init1", 294, [6]uintptr{}}, {"rt_sigqueueinfo", 129, [6]uintptr{uintptr(os.Getppid()), 0, at}}, {"timer_create", 222, [6]uintptr{0, 0, at}},
		{"setuid", 105, [6]uintptr{0}}, {"setgid", 106, [6]uintptr{0}}, {"setgroups", 116, [6]uintptr{1, at}}, {"setresuid", 117, [6]uintptr{0, 0, 0}}, {"capset", 126, [6]uintptr{at, at}}, {"seccomp", 317, [6]uintptr{2, 0, at}},
		{"setxattr", 188, [6]uintptr{text("/tmp"), text("user.x"), at, 1, 0}}, {"get_mempolicy", 239, [6]uintptr{0, 0, 0, 0, 0}}, {"move_pages", 279, [6]uintptr{0, 0, 0, 0, 0, 0}}, {"landlock_create_ruleset", 444, [6]uintptr{0, 0, 1}}, {"lookup_dcookie", 212, [6]uintptr{0, at, 8}}, {"vhangup", 153, [6]uintptr{}},
		{"nfsservctl", 180, [6]uintptr{}}, {"uselib", 134, [6]uintptr{text("/nothing")}}, {"ustat", 136, [6]uintptr{0, at}}, {"sysfs", 139, [6]uintptr{3}}, {"_sysctl", 156, [6]uintptr{at}},
	} {
		clear(buffer)
		_, _, err := syscall.RawSyscall6(t.number, t.args[0], t.args[1], t.args[2], t.args[3], t.args[4], t.args[5])
		if err != syscall.EPERM && err != syscall.ENOSYS {
			got = append(got, t.name)
		}
	}
	return got
}
