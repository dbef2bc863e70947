// Package egress opens connections for scripts. The name of a host decides whether a script may ask for it. The
// address decides whether the daemon connects: a name may resolve to any address, and to another one a moment later.
// So the address is checked just before the kernel connects to it.
package egress
