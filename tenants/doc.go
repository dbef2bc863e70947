// Package tenants says what each tenant may have: a file of policies, with defaults behind it.
//
//	flags ─► defaults ◄─ the file's defaults ◄─ the file's entry of a tenant
//	                          │                        │
//	                          └── Of("anybody")        └── Of("acme")
//
// A file is taken as a whole or not at all: one that something is wrong with changes nothing.
package tenants
