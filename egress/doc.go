// Package egress opens connections for scripts. It decides by name what may be asked for, and by address what is
// connected to: a name may resolve to anything, and to something else a moment later, so the address is judged
// where the kernel is about to be told of it.
package egress
