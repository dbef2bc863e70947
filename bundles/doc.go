// Package bundles keeps folders of sources. A client sends a folder once, and names it in many calls.
//
//	runtime.put ─► Folder, part by part ─► Store, by (tenant, hash of the content)
//	                  │ Reservation                        │
//	                  └── bytes of unfinished folders      └─► runtime.execute
//
// There are two bounds. If a tenant has too much, its least recently used bundle is dropped. If all tenants together
// have too much, the tenant that was least recently seen loses its least recently used bundle. A restart drops all
// bundles.
package bundles
