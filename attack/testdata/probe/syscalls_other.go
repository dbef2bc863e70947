//go:build !amd64

package main

// syscalls knows the numbers of one architecture.
func syscalls() []string { return []string{} }
