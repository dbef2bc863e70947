// Probe tries what needs system calls that Node does not make. It is linked statically and put into the image of
// those who have breached their worker. What it did is one line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	var told any
	switch os.Args[1] {
	case "syscalls":
		told = syscalls()
	case "namespaces":
		told = namespaces()
	case "sockets":
		told = sockets()
	case "connect":
		told = connect(os.Args[2:])
	case "threads":
		told = threads(number(2))
	case "memory":
		told = memory(number(2))
	case "forks":
		told = forks(number(2))
	case "sleep":
		time.Sleep(time.Duration(number(2)) * time.Second)
	case "limits":
		told = limits()
	}
	_ = json.NewEncoder(os.Stdout).Encode(told)
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

// namespaces are those that a child of this process could be given.
func namespaces() []string {
	got := []string{}
	for name, flag := range map[string]uintptr{"user": syscall.CLONE_NEWUSER, "mount": syscall.CLONE_NEWNS, "net": syscall.CLONE_NEWNET, "pid": syscall.CLONE_NEWPID,
		"ipc": syscall.CLONE_NEWIPC, "uts": syscall.CLONE_NEWUTS} {
		child := exec.Command("/opt/jsd/probe", "sleep", "0")
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flag}
		if child.Run() == nil {
			got = append(got, name)
		}
	}
	return got
}

// sockets are the families of which there are any.
func sockets() []string {
	got := []string{}
	for _, s := range []struct {
		name         string
		family, kind int
	}{
		{"unix", syscall.AF_UNIX, syscall.SOCK_STREAM}, {"inet", syscall.AF_INET, syscall.SOCK_STREAM}, {"inet6", syscall.AF_INET6, syscall.SOCK_STREAM},
		{"udp", syscall.AF_INET, syscall.SOCK_DGRAM}, {"raw", syscall.AF_INET, syscall.SOCK_RAW}, {"packet", syscall.AF_PACKET, syscall.SOCK_RAW},
		{"netlink", syscall.AF_NETLINK, syscall.SOCK_RAW}, {"vsock", 40, syscall.SOCK_STREAM}, {"alg", 38, syscall.SOCK_SEQPACKET},
		{"bluetooth", 31, syscall.SOCK_RAW}, {"can", 29, syscall.SOCK_RAW}, {"key", 15, syscall.SOCK_RAW}, {"xdp", 44, syscall.SOCK_RAW}, {"tipc", 30, syscall.SOCK_RDM},
	} {
		if fd, err := syscall.Socket(s.family, s.kind, 0); err == nil {
			got = append(got, s.name)
			_ = syscall.Close(fd)
		}
	}
	return got
}

// connect gives the addresses that it reached, each as network and address.
func connect(addresses []string) []string {
	got := []string{}
	for i := 0; i+1 < len(addresses); i += 2 {
		conn, err := net.DialTimeout(addresses[i], addresses[i+1], time.Second)
		if err != nil {
			continue
		}
		if addresses[i] == "udp" { // which connects to anything, where there is a way to it
			_, err = conn.Write([]byte("x"))
		}
		if err == nil {
			got = append(got, addresses[i+1])
		}
		_ = conn.Close()
	}
	return got
}

// threads makes up to so many that do nothing, and tells how many there are.
func threads(most int) int {
	go func() { // the runtime of Go ends with a message where it gets none
		time.Sleep(10 * time.Second)
		os.Exit(3)
	}()
	made := 0
	for ; made < most; made++ {
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(started)
			_ = syscall.Pause()
		}()
		<-started
	}
	return made
}

// memory takes so many MiB, page by page.
func memory(mib int) int {
	for i := range mib {
		page, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return i
		}
		for at := 0; at < len(page); at += 4096 {
			page[at] = 1
		}
	}
	return mib
}

// forks makes processes that make processes, all in sessions of their own.
func forks(deep int) int {
	made := 0
	for deep > 0 {
		child := exec.Command("/opt/jsd/probe", "forks", strconv.Itoa(deep-1))
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if child.Start() != nil {
			if made > 0 {
				time.Sleep(3 * time.Second)
			}
			return made
		}
		if made++; made > 1000 {
			return made
		}
	}
	time.Sleep(5 * time.Second)
	return made
}

// limits are those that could be raised.
func limits() []string {
	got := []string{}
	for name, which := range map[string]int{"files": syscall.RLIMIT_NOFILE, "core": syscall.RLIMIT_CORE} {
		var now syscall.Rlimit
		if syscall.Getrlimit(which, &now) != nil {
			continue
		}
		if err := syscall.Setrlimit(which, &syscall.Rlimit{Cur: now.Max + 4096, Max: now.Max + 4096}); err == nil {
			got = append(got, fmt.Sprint(name, now.Max))
		}
	}
	return got
}
