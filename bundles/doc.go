// Package bundles keeps folders of sources that clients send once and name in many calls.
//
//	runtime.put ─► Folder, part by part ─► Store, by (tenant, hash of the content)
//	                  │ Reservation                        │
//	                  └── bytes not kept yet               └─► runtime.execute
//
// What is kept is bounded twice: per tenant, where the bundle least recently used goes first, and
// in all, where it goes first from the tenant least recently seen. Nothing is kept across a restart.
package bundles
