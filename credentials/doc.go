// Package credentials finds out who sent a request: a trusted backend that has the daemon's secret, or the tenant
// that a signed token (JWT) names.
//
//	x-runtime-secret ─────────────► secret (given, or a file's) ─┐
//	Authorization: Bearer ─┐                                     ├─► Identity: which tenant, until when
//	subprotocol bearer. ───┴─► token ─► keys ─► claims ──────────┘
//	                                     ▲
//	              given ─ file (Reload) ─┴─ URL (in the background, and for unknown keys)
//
// Each credential that a request has must be valid: a good token does not make up for a wrong secret, nor the other way
// round. No error and no line of the log contains any part of a secret or token.
package credentials
