//go:build !race

package nonblock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readFD reads into p, which must not be empty.
func readFD(fd uintptr, p []byte) (int, syscall.Errno) {
	if len(p) <= quick {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		return int(n), errno
	}
	n, _, errno := syscall.Syscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

// writeFD writes the size bytes of vectors.
func writeFD(fd uintptr, vectors []unix.Iovec, size int) (int, syscall.Errno) {
	if size <= quick {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors[0])), uintptr(len(vectors)))
		return int(n), errno
	}
	n, _, errno := syscall.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors[0])), uintptr(len(vectors)))
	return int(n), errno
}
