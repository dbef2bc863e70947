// Package quota counts what owners, such as tenants, take of something that is bounded in all and for each owner. It
// counts bytes, as a rule.
//
//	Account     counts, and refuses what is over a bound
//	Store       keeps values, and drops the least recently used ones to stay within the bounds
//
// Neither of them locks anything. A mutex of the caller guards it, so that the caller can do more in one step.
package quota
