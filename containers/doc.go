// Package containers turns a process that holds an agent into something that runs calls.
//
// A driver (packages docker and process) starts the process and gives its stdio, or what stands for it; Open
// speaks the link over that. The package knows nothing of WebSockets, tenants or queues.
//
//	Execute ──────► outbox ──► writer goroutine ──► stdin ─► agent
//	   ▲              ▲                                        │
//	   │   Host ◄── callback's goroutine ◄─┐                   │
//	   └── pending[id] ◄────────── reader goroutine ◄─ stdout ─┘
//
// # The link
//
// A frame is 4 bytes of payload length (big-endian, payload only), 1 byte of kind, the payload. A
// payload is one line of JSON, the header; where a script or a value goes with it, a newline (0x0a)
// and the body follow, which the agent's main thread passes on without looking inside. JSON text
// never holds a raw newline when written compactly, so the first newline ends the header.
//
//	kind  name      direction  header                                                   body
//	1     hello     to agent   {"version":5,"concurrency":8,"workers":2,"heap":64,       –
//	                            "memory":256,"result":8388608,
//	                            "console":{"lines":1000,"bytes":65536},
//	                            "modules":["assert",…]}
//	1     hello     to daemon  {"version":5,"node":"v26.10.0","modules":["assert",…]}   –
//	2     call      to agent   {"id":1,"timeout":3000,"cpu":3000,"bundle":"a1",         {"code":…,"globals":…,"call":…,"caller":…,"args":…,
//	                            "memory":64,"stats":true,                                "files":…,"file":…,"language":…,"secrets":…}
//	                            "open":1,"session":1,
//	                            "stream":true,"callbacks":["fetchUser",…]}
//	3     cancel    to agent   {"id":1}                                                 –
//	4     result    to daemon  {"id":1,"time":3,"cpu":1.5,"console":["a"]}              the value, as JSON
//	5     failure   to daemon  {"id":1,"code":1000,"name":"TypeError","message":"x",    –
//	                            "stack":"…","limit":"…","console":["a"],"started":true}
//	9     bundle    to agent   {"bundle":"a1","more":true,"drop":["b2",…]}              {"lib/a.js":"…",…}, from path to source
//	10    print     to daemon  {"id":1,"level":"log"}                                   the text of a line
//	11    callback  to daemon  {"id":1,"callback":7,"name":"fetchUser"}                 the arguments, a JSON array
//	12    reply     to agent   {"id":1,"callback":7,                                    the value, as JSON; none with an error
//	                            "error":{"message":"x","code":5,"data":…}}
//	13    close     to agent   {"session":1}                                            –
//	14    ended     to daemon  {"session":1}                                            –
//	15    ping      to agent   {}                                                       –
//	16    pong      to daemon  {}                                                       –
//	17    open      to daemon  {"id":1,"stream":1,"host":"api.example.com","port":443}  –
//	18    opened    to agent   {"stream":1,"address":"203.0.113.7"}                     –
//	19    data      both       4 bytes: the stream, big-endian; no JSON                 1 to 16,384 bytes right behind it
//	20    credit    both       {"stream":1,"bytes":65536}                               –
//	21    finish    both       {"stream":1}                                             –
//	22    abort     to daemon  {"stream":1}                                             –
//	23    closed    to agent   {"stream":1,"code":"EACCES","message":"…"}               –
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
// call still needs that has not been answered, nor a session that has not ended. A bundle that was
// dropped is sent anew.
//
// # Lines and callbacks
//
// A call with "stream" has each line of its console sent as it is printed, before its answer; the
// answer holds the whole console all the same. Levels are log, info, warn, error and debug. What passes
// the limits of the console is left out, here as there, behind the line that says so.
//
// A call with "callbacks" may have these names called. Callbacks of a call are numbered from 1, in the
// order in which they are sent, and answered in any order. The daemon asks the client only for names
// in the list, and refuses what has no place: at most 1,000 callbacks of a call wait for their reply,
// with as many bytes of arguments as a value may have. It answers with an error of its own, which has
// only a message, as it does where a value is longer than MaxFrame less 1 MiB or data than 1 MiB.
// An agent keeps to these bounds by itself. One that goes past twice the bounds, or prints past twice
// the console's limits, breaks the rules.
//
// When a call is answered, its callbacks are forgotten. The daemon sends no reply after it has seen the
// answer or sent a cancel; the agent ignores one that it gets all the same. Lines and callbacks of calls
// that were answered are ignored by the daemon, but those of calls that were never made break the rules.
//
// # Sessions
//
// A call with "open" opens a session of that number, which the daemon chose and never uses again on the
// link; one with "session" runs in it. The daemon sends the calls of a session one at a time, the next
// when the one before has been answered, so that the time of one that has to wait does not run. A call
// in a session that the agent does not know is answered with code 1009.
//
// Close ends a session; a call that runs in it is answered with 1003. A close of a session that the
// agent does not know is ignored. For each session that it was told to open the agent says ended once:
// when the session's worker is gone, and behind the answer to the call that opened it and, where that
// ended it, the answer to the call that ran.
//
// # Streams
//
// A script's connection is a stream. Where the daemon's hello has "network":{"call":32,"container":256}, an agent may
// open streams for calls that run, numbered from 1 in the order in which they are opened, so many at once for a call and in
// all. The daemon says opened or, where the connection may not or cannot be made, closed. A stream counts as open
// until the daemon has said closed, which it does once for each, and which is the last word of it. More than 100 a second wait.
//
// Once a stream is opened either side may send data: the daemon 256 KiB, the agent 64 KiB, and as much again as
// the other one grants by credit when it has passed it on. Finish says that no more data comes from a side; when both have
// finished, the daemon says closed. Abort says that the agent neither sends nor takes more: the daemon writes what was sent before,
// for up to 5 s, and says closed. The answer to its call and a cancel of it end a stream at once. An agent may get
// frames of a stream that it has aborted, and the daemon frames of one that it has closed: both ignore them, the daemon no more
// than may have been under way: what was granted, and a frame of credit for each byte that it sent.
//
// Data goes behind all other frames that wait, and streams take turns by the frame. What was not granted, and more streams
// than may be open, break the rules.
//
// # Liveness
//
// The daemon sends a ping when it has read nothing of the agent for Liveness.Interval, and none before
// the last one was answered; the agent answers each with a pong at once, whatever its workers do. A pong
// that nobody asked for breaks the rules. Everything that the agent says counts as a sign of life, also
// a part of a frame.
//
// Where nothing comes within Liveness.Patience, the daemon looks twice, Liveness.Window apart, at how
// much processor time the whole container has used. One that used none is paused, stopped or deadlocked,
// and is ended; its calls get a LostError with ErrSilent in it. One that used some is busy or throttled
// and goes on being looked at: until it speaks, uses none any more, or, where it has no calls, has been
// silent for Liveness.Silence. Where nobody knows the processor
// time, since the process is no Meter or the engine fails to tell, it counts as used.
//
// Every call has a deadline here, five seconds behind its timeout. When it passes, the client is told of the
// timeout, and the agent is sent a cancel. Behind a cancel and a close, too, goes a ping: an agent that has
// said something since, but has not ended the call or the session within ten seconds, breaks the rules. One
// that has said nothing is slow or dead, which is found out as above; abandoned calls do not count then.
//
// # Bounds
//
// Lengths are bounded: to the agent by MaxFrame, to the daemon by the result limit for the body, by
// HeaderRoom for the header and, in an answer, by what the console limits come to in addition.
// Whatever breaks these rules ends the container. testdata/frames holds frames as they have to be, for
// the tests of both sides.
package containers
