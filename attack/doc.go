// Package attack is the proof that the walls of jsd hold: hostile scripts in tables that say what each tries
// and which replies it may get, run against the real program, over a WebSocket, in containers of runc and of
// gVisor, while another tenant's calls go on beside them.
//
// There are two kinds of tables. Plain attacks are what any client may send. Attacks of the breached (in
// breached_*_test.go) assume that the script has won already: they run in an image whose agent hands each
// script the worker's own process and require, without Node's permission model, and helpers in machine code. What
// holds then is what the container and the daemon hold.
//
// For every attack it is checked that
//
//   - it gets exactly one reply, and that one of those its row allows;
//   - another call of the same tenant, under way all the time, comes to its own value, or to what the row allows;
//   - each call of the neighbour, before, meanwhile and after, comes to its value;
//   - its tenant's next call works, and finds nothing of it;
//
// and behind all of them (see siege.end) that nothing is left: no container, no file on the host, no goroutine
// or memory in the daemon, nothing of scripts, secrets and credentials in its log.
package attack
