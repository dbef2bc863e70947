// Package containers turns a process that holds an agent into something that runs calls.
//
// A driver (packages docker and process) starts the process and gives its stdio; Open speaks the
// link over it. The package knows nothing of WebSockets, tenants or queues.
//
//	Execute ──frame──► writer goroutine ──► stdin ─► agent
//	   ▲                                               │
//	   └── pending[id] ◄── reader goroutine ◄─ stdout ─┘
//
// # The link
//
// A frame is 4 bytes of payload length (big-endian, payload only), 1 byte of kind, the payload. A
// payload is one line of JSON, the header; where a script or a value goes with it, a newline (0x0a)
// and the body follow, which the agent's main thread passes on without looking inside. JSON text
// never holds a raw newline when written compactly, so the first newline ends the header.
//
//	kind  name      direction  header                                                   body
//	1     hello     to agent   {"version":2,"concurrency":8,"workers":2,"heap":64,       –
//	                            "memory":256,"result":8388608,
//	                            "console":{"lines":1000,"bytes":65536},
//	                            "modules":["assert",…]}
//	1     hello     to daemon  {"version":2,"node":"v26.10.0","modules":["assert",…]}   –
//	2     call      to agent   {"id":1,"timeout":3000,"cpu":3000,"bundle":"a1",         {"code":…,"globals":…,"call":…,"caller":…,"args":…,
//	                            "memory":64,"stats":true}                                "files":…,"file":…,"language":…,"secrets":…}
//	3     cancel    to agent   {"id":1}                                                 –
//	4     result    to daemon  {"id":1,"time":3,"cpu":1.5,"console":["a"]}              the value, as JSON
//	5     failure   to daemon  {"id":1,"code":1000,"name":"TypeError","message":"x",    –
//	                            "stack":"…","limit":"…","console":["a"],"started":true}
//	9     bundle    to agent   {"bundle":"a1","more":true,"drop":["b2",…]}              {"lib/a.js":"…",…}, from path to source
//
// The daemon speaks first. Ids are chosen by the daemon, from 1, never used twice on one link.
// Every call gets exactly one result or failure, also a cancelled one (code 1003, unless its
// outcome was already on its way). A cancel of an id the agent does not know is ignored. In headers
// timeout and cpu are milliseconds (cpu of a result with a fraction, not below 0, where the call has
// stats), heap and memory MiB, result and console.bytes bytes; empty fields may be left out. Code
// 1005 in a failure (with started) says that a worker died by something that was no limit.
//
// Modules to the agent are those that scripts may load, without them the agent's default list; to
// the daemon those that are allowed and there, built-ins and packages.
//
// A bundle is a folder of sources that calls name. Its frames, one for each part, come one after the
// other with "more" in all but the last, before the first call that names it; of two parts with the
// same path the later counts. What an agent holds is decided by the daemon alone: it names the
// bundles to drop, which are forgotten before anything else in that frame is looked at, and which no
// call still needs that has not been answered. A bundle that was dropped is sent anew.
//
// Lengths are bounded: to the agent by MaxFrame, to the daemon by the result limit for the body, and
// by HeaderRoom and what the console limits come to for the header. Whatever breaks these rules ends
// the container. testdata/frames holds frames as they have to be, for the tests of both sides.
package containers
