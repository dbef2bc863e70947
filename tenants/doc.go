// Package tenants has the limits of each tenant: those of a file, and the defaults for what the file does not say.
//
//	flags ─► defaults ◄─ the file's defaults ◄─ the file's entry of a tenant
//	                          │                        │
//	                          └── Of("anybody")        └── Of("acme")
//
// A file with an error changes nothing.
package tenants
