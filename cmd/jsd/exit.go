package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// What jsd exec ends with, for the shell. README.md and its --help list them.
const (
	statusScript      = 1   // the script failed
	statusUsage       = 2   // what was asked for cannot be; also of every command's flags
	statusLimit       = 3   // a limit or a timeout ended the script
	statusJSD         = 4   // jsd could not run it
	statusInterrupted = 130 // by a signal, as shells have it
)

// streams are where a command reads and writes.
type streams struct {
	in       *os.File
	out, err io.Writer
}

// A statusError ends the process with a status of its own. With no error inside, all has been said.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %v", e.status, e.err) }
func (e *statusError) Unwrap() error { return e.err }

// status says what went wrong, and gives the status to end with.
func status(err error, w io.Writer) int {
	var own *statusError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		if own.err != nil {
			fmt.Fprintln(w, "jsd:", own.err)
		}
		return own.status
	case errors.Is(err, context.Canceled): // by a signal
		return 0
	default:
		fmt.Fprintln(w, "jsd:", err)
		return 1
	}
}

// exit is for the command line's parser, whose own number for bad usage is nobody's custom.
func exit(status int) {
	if status != 0 {
		status = statusUsage
	}
	os.Exit(status)
}
