'use strict';
// The error codes of a call's failure, by the names that the agent and its workers use. protocol.md describes each.
// Codes that only the daemon reports are left out: Busy and Forbidden.

const codes = Object.freeze({
  exception: 1000, // the script threw, rejected, or does not parse
  notImplemented: 1001, // there is no function of the name in `call`
  timeout: 1002, // the wall time or the CPU time is used up
  cancelled: 1003,
  limitExceeded: 1004, // memory, or the size of the result
  lost: 1005, // the worker died under the call, by something that was no limit
  notSerializable: 1008, // the value has no JSON form
  notFound: 1009, // the session is unknown
});

module.exports = { codes };
