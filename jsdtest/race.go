//go:build race

package jsdtest

// Under the race detector a process takes several times the memory and time, which is then nothing to judge by.
func init() { underRace = true }
