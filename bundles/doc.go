// Package bundles stores source trees as bundles. A client sends a source tree once, and names it in many calls.
//
//	runtime.put ─► SourceTree, part by part ─► Store, by (tenant, hash of the content)
//	                  │ Reservation                            │
//	                  └── bytes of unfinished source trees     └─► runtime.execute
//
// There are two bounds. If a tenant has too much, its least recently used bundle is dropped. If all tenants together
// have too much, the tenant that was least recently seen loses its least recently used bundle. A restart drops all
// bundles.
package bundles
