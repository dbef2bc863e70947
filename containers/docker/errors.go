package docker

import "errors"

// Reasons why there can be no driver, or no container of a spec. Each error of New and Check that wraps one
// is a line that says the way out; ErrProfile comes from Start alone.
var (
	ErrNoEngine   = errors.New("no Docker engine answers")
	ErrNoImage    = errors.New("no such image")
	ErrBadImage   = errors.New("unfit image")
	ErrNoRuntime  = errors.New("no such OCI runtime")
	ErrNoLimit    = errors.New("every limit has to be above 0, and the instance named")
	ErrBadLimit   = errors.New("the Docker engine cannot hold this limit")
	ErrUnconfined = errors.New("the Docker engine runs containers without seccomp")
	ErrProfile    = errors.New("the Docker engine cannot take the seccomp profile of containers")
)
