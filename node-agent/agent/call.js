'use strict';
// One call as the agent knows it, from the daemon's frame to its outcome.

class Call {
  // From the daemon's frame; containers/doc.go describes them.
  id;
  timeout; // ms
  cpu; // ms
  memory; // MiB
  bundle;
  open;
  session;
  stats;
  stream;
  callbacks;
  body; // until it is sent to a worker

  // A call waits in a queue, then runs on a worker. Either is undefined before and after.
  queue; // a Pool or a Session: whoever has remove(call)
  worker; // a WorkerProcess
  sessionToOpen; // the Session that will pin the worker, for a call that opens one

  // While it runs. Times are of performance.now().
  sentAt = 0;
  sentBytes = 0; // to the worker, for this call
  startedAt; // when the evaluation started; undefined until then
  timer; // of its deadline
  cpuBefore; // of the worker, in ms
  memoryBefore; // of the worker, in bytes
  isWaiting = false; // the pool's last check found that the call waits for something else than a processor
  wasWaiting = false; // the check before did
  pendingCallbacks; // PendingCallbacks, made with the first one
  streams = 0; // connections that the daemon knows of

  console = []; // lines for the reply
  consoleCharacters = 0;

  constructor({ id, timeout, cpu, memory, bundle, open, session, stats, stream, callbacks }, body) {
    this.id = id;
    this.timeout = timeout;
    this.cpu = cpu;
    this.memory = memory;
    this.bundle = bundle;
    this.open = open;
    this.session = session;
    this.stats = stats;
    this.stream = stream;
    this.callbacks = callbacks;
    this.body = body;
  }
}

module.exports = { Call };
