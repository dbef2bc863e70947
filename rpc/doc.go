// Package rpc accepts clients: JSON-RPC 2.0 and Duplex over WebSocket, JSON-RPC over POST.
//
//	                       ┌──────────────── client, one per connection ───────────────────┐
//	socket ─► frame ─► dialect ─► request ──────────────► begin ─► method ─► its own goroutine
//	   ▲               decode  └► response   id of ours          checked here   where it has to wait
//	   │                           to a callback                                        │     ▲
//	   └─ writer ◄─ outbox ◄─ dialect ◄── the id it came with ◄──────── reply ◄─────────┘     │
//	      in turn    bounded   encode ◄── host: console and callbacks ◄────────────────────── run
//
// A dialect is a codec: both reach the same methods. Everything up to the check of a request's
// params happens on one goroutine, the reader, so in the order in which frames came; a method that
// has to wait gives the reader a function for that, which gets a goroutine and one of the slots in
// flight. Writing never waits for a client: replies go to the outbox, and a client that lets it
// fill is disconnected.
//
// A call is an execution (executions.go): known by its name within its tenant while it runs and, where
// the client wants that, for some time after (kept.go). Its goroutine is the request's, or the
// server's where it is detached; who asks for a known one waits for its outcome. A session (sessions.go)
// belongs to its connection, and queues its calls itself.
package rpc
