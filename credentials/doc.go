// Package credentials says who a request comes from: a trusted backend that has the daemon's secret, or the
// tenant that a signed token (JWT) names.
//
//	x-runtime-secret ─────────────► secret (given, or a file's) ─┐
//	Authorization: Bearer ─┐                                     ├─► Identity: which tenant, until when
//	subprotocol bearer. ───┴─► token ─► keys ─► claims ──────────┘
//	                                     ▲
//	              given ─ file (Reload) ─┴─ URL (in the background, and for keys that nobody knows yet)
//
// What is sent has to hold: a secret that is wrong is not made good by a token, nor the other way round. No
// error and no line of log has anything of a secret or token in it.
package credentials
