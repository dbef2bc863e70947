// Package containers turns a process that holds an agent into something that runs calls.
//
// A driver (packages docker and process) starts the process. Open speaks the link with the agent over the process's
// standard streams, or over what the driver has in their place. The package knows nothing of WebSockets, tenants or
// queues of tenants.
//
//	Container.Start ─► calls ─► bundles ─► link ─ in place ─► stdin  ─► agent
//	                     │ ▲                ▲                            │
//	                     │ └─── reader ─────┼──────────────── stdout ◄───┘
//	    call.Done ◄──────┘        │         │
//	                              ├► callbacks ◄─► call.Client
//	                              └► streams ◄─► call.Network
//
// Whoever has a frame writes it in place, unless somebody is writing. One goroutine reads. The comments at calls,
// reader.read and Container.run say which function calls which.
//
// # The link
//
// A frame is 4 bytes of payload length (big-endian, payload only), 1 byte of kind, and the payload. A payload begins with
// the header, one line of JSON. Where a script or a value belongs to the frame, a newline (0x0a) and the body
// follow. The agent's main thread passes the body on without looking inside. JSON text that is written compactly has no raw
// newline, so the first newline ends the header.
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
// The daemon speaks first. It chooses the ids, from 1, and never uses one twice on a link. Every call gets exactly one
// result or failure. So does a cancelled call: code 1003, unless its outcome was already on its way. A cancel of an id that
// the agent does not know is ignored.
//
// In headers timeout and cpu are milliseconds, heap and memory MiB, result and console.bytes bytes. The cpu of a
// result, where the call has stats, may have a fraction and is not below 0. Empty fields may be left out. Code 1005 in
// a failure, with started, says that a worker died for a reason that was no limit.
//
// The modules in the daemon's hello are those that scripts may load. Without the field that is the agent's default list.
// The modules in the agent's hello, built-ins and packages, are allowed and also there.
//
// A bundle is a source tree that calls name. Its frames, one for each part, come before the first call that names it.
// They come one after the other, with "more" in all but the last. Of two parts with the same path the later counts. The
// daemon alone decides what an agent holds. It names the bundles to drop in "drop", and the agent forgets these before
// it looks at anything else in the frame. The daemon drops no bundle that is needed by a call which has not been
// answered, or by a session which has not ended. A bundle that was dropped is sent anew.
//
// # Lines and callbacks
//
// The agent sends each console line of a call with "stream" when it is printed, and before the answer. The answer
// holds the whole console all the same. Levels are log, info, warn, error and debug. Lines beyond the limits of the
// console are left out, in both places, and a line that says so comes instead.
//
// The script of a call with "callbacks" may call these names. The callbacks of a call are numbered from 1, in the order
// in which they are sent. They are answered in any order. The daemon asks the client only for names in the list. At
// most 1,000 callbacks of a call wait for their reply, and their arguments are together at most as long as a value may
// be. The daemon refuses callbacks beyond that, with an error of its own, which has only a message. It gives the same
// kind of error where a value is longer than MaxFrame less 1 MiB, or data is longer than 1 MiB. An agent keeps to these
// bounds by itself. An agent that goes past twice these bounds, or prints past twice the console's limits, breaks the
// rules.
//
// An answer to a call ends its callbacks. The daemon sends no reply after it has seen the answer or sent a cancel. The agent
// ignores a reply that it gets all the same. The daemon ignores lines and callbacks of calls that were answered. Lines and
// callbacks of calls that were never made break the rules.
//
// # Sessions
//
// A call with "open" opens a session of that number. The daemon chooses the number and never uses it again on the link.
// A call with "session" runs in that session. The daemon sends the calls of a session one at a time, the next one
// when the one before has been answered, so the time of a call does not run while it waits. A call in a session that
// the agent does not know is answered with code 1009.
//
// A close ends a session. A call that runs in it is answered with 1003. A close of a session that the agent does not know
// is ignored. The agent says ended once for each session that it was told to open: when the session's worker is gone, after
// its answer to the call that opened the session, and after its answer to the call that ran when the session ended.
//
// # Streams
//
// A stream is a connection of a script. An agent may open streams for calls that run where the daemon's hello has
// "network":{"call":32,"container":256}: so many at once for a call, and so many for all calls. It numbers them from 1,
// in the order in which it opens them. The daemon answers opened, or closed where the connection may not or cannot be
// made. A stream counts as open until the daemon has said closed. The daemon says closed once for each stream, as its
// last frame about it. Streams beyond 100 a second wait before they are connected.
//
// Once a stream is opened, both sides may send data: the daemon 256 KiB and the agent 64 KiB. A side that has passed
// data on grants as much again, by a credit. Finish says that a side sends no more data. The daemon says closed when
// both sides have finished. Abort says that the agent neither sends nor takes more. After an abort the daemon writes
// what was sent before it, for up to 5 s, and then says closed. An answer to its call, or a cancel of it, ends a stream
// at once. An agent may get frames of a stream that it has aborted, and ignores them. The daemon may get frames of a
// stream that it has closed. It ignores as many as may have been under way: the data that was granted, and one frame of
// credit for each byte that it sent.
//
// Frames of data leave after all other frames that wait. Streams take turns, one frame each. Data that was not granted, and
// more streams than may be open, break the rules.
//
// # Health
//
// The daemon sends a ping when it has read nothing from the agent for Liveness.Interval. It sends none before the last
// one was answered. The agent answers each ping with a pong at once, whatever its workers do. A pong without a ping
// breaks the rules. Everything that the agent sends counts as a sign of life, also a part of a frame.
//
// Where nothing comes within Liveness.Patience, the daemon looks twice, Liveness.Window apart, at the processor time
// that the whole container has used. A container that used none is paused, stopped or deadlocked. The daemon ends it,
// and its calls get a LostError with ErrSilent in it. A container that used some is busy or throttled. The daemon goes
// on looking until the agent sends something, the container uses no more processor time, or Liveness.Silence has passed
// while the container has no calls. The processor time counts as used where nobody knows it: where the process is no
// Meter, or the engine fails to tell.
//
// Every call has a deadline in the daemon, five seconds after its timeout. When it passes, the client is told of the
// timeout, and the agent is sent a cancel. A ping follows each cancel and each close. An agent that has sent something
// since then, but has not ended the call or the session within ten seconds, breaks the rules. An agent that has sent
// nothing is slow or dead, and the daemon finds out which as described above. Calls that the agent was told to stop do
// not count as calls there.
//
// # Bounds
//
// Lengths are bounded. The payload of a frame to the agent is at most MaxFrame. In a frame to the daemon the body is at
// most the result limit, and the header at most HeaderRoom. The header of an answer may in addition be as long as the
// limits of the console allow. Whatever breaks these rules ends the container. testdata/frames holds frames as both
// sides have to write and read them, for the tests of both sides.
package containers
