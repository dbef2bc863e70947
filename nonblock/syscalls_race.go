//go:build race

package nonblock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The race detector learns the order of reads and writes from package syscall only, so this build uses its functions.

func readFD(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	return max(n, 0), errnoOf(err)
}

func writeFD(fd uintptr, vectors []unix.Iovec, _ int) (wrote int, errno syscall.Errno) {
	for _, v := range vectors {
		piece := unsafe.Slice(v.Base, v.Len)
		n, err := syscall.Write(int(fd), piece)
		wrote += max(n, 0)
		if err != nil && wrote == 0 {
			return 0, errnoOf(err)
		}
		if n < len(piece) {
			break
		}
	}
	return wrote, 0
}

func errnoOf(err error) syscall.Errno {
	errno, _ := err.(syscall.Errno)
	return errno
}
