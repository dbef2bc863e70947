package nonblock

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A Sink takes what Read reads.
type Sink interface {
	// Space is where the next bytes go: a slice that is not empty.
	Space() []byte

	// Took tells that the first n bytes of the last Space are there. An error ends the reading.
	Took(n int) error
}

// Read reads from a pipe or a socket into sink until it ends or fails, and returns why: io.EOF, the error of the sink, or that
// of from. Any other io.Reader serves as well.
//
// A read that leaves room in Space has emptied the descriptor. Read then waits for what comes next, without a second read
// that finds nothing. The price: where the last bytes of the peer and its end arrive together, the end may go unnoticed. Who
// learns of the end in another way sets the read deadline of from to the past. Read then reads what is left, and returns
// os.ErrDeadlineExceeded where that does not lead to the end.
func Read(from io.Reader, sink Sink) error {
	raw := descriptor(from)
	if raw == nil {
		return readPlain(from, sink)
	}
	var result error // set before the callback says that it is done
	err := raw.Read(func(fd uintptr) bool {
		drained, err := readAvailable(fd, sink, false)
		result = err
		return !drained
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		controlErr := raw.Control(func(fd uintptr) { _, result = readAvailable(fd, sink, true) })
		return first(controlErr, result, err)
	}
	return first(err, result)
}

// first is the first of errs that is not nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readAvailable reads what the descriptor has. It reports true where more may come, false with the reason where the reading
// is over. To the end means that a read which leaves room is not taken for the last one.
func readAvailable(fd uintptr, sink Sink, toTheEnd bool) (drained bool, err error) {
	for {
		space := sink.Space()
		n, errno := readFD(fd, space)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return true, nil
		case errno != 0:
			return false, os.NewSyscallError("read", errno)
		case n == 0:
			return false, io.EOF
		}
		if err := sink.Took(n); err != nil {
			return false, err
		}
		if n < len(space) && !toTheEnd {
			return true, nil
		}
	}
}

func readPlain(from io.Reader, sink Sink) error {
	for {
		n, err := from.Read(sink.Space())
		if n > 0 {
			if err := sink.Took(n); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}
