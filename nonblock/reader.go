package nonblock

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A Sink receives the data of Read.
type Sink interface {
	// Space returns the buffer for the next bytes. It is not empty.
	Space() []byte

	// Took is called when n bytes are in the last Space. An error ends the reading.
	Took(n int) error
}

// Read reads from a pipe or a socket into sink until the end or an error. It returns io.EOF, the error of the sink, or the
// error of from. from may also be any other io.Reader.
//
// A read that leaves room in Space has emptied the descriptor. Read then waits for more data without a second read that
// would find nothing. If the last bytes of the peer and its end arrive together, Read may therefore miss the end. A caller
// that learns of the end in another way sets the read deadline of from to the past. Read then reads the rest, and returns
// os.ErrDeadlineExceeded if it does not reach the end.
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

// first returns the first of errs that is not nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readAvailable reads the data that is available. It returns true if more may come, and false with the reason if the reading
// is over. toTheEnd makes it read until there is no data, even after a read that leaves room.
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
