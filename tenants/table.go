package tenants

import (
	"cmp"
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A table has the policies of a file. It never changes.
type table struct {
	defaults entry
	entries  []entry // in the order of the file
	named    map[string]*Policy
}

// An entry is a policy, with its place in the file.
type entry struct {
	tenant string // empty: the defaults
	policy *Policy
	where  *token.Token // its key; nil: it is in no file
}

func (e *entry) of() string {
	if e.tenant == "" {
		return "defaults"
	}
	return "tenant " + e.tenant
}

// A reader makes a table of a parsed file.
type reader struct {
	limits []limit
	bounds Bounds
}

// table reads a whole file. An error at a place is a *FileError without the name of the file.
func (r *reader) table(root *ast.MappingNode, defaults Policy) (*table, error) {
	top, err := sections("the file", root.GetToken(), root)
	if err != nil {
		return nil, err
	}
	t := &table{defaults: entry{policy: &defaults}, named: map[string]*Policy{}}
	var tenants section
	for _, s := range top {
		switch s.key {
		case "defaults":
			if t.defaults, err = r.entry("", s, defaults); err != nil {
				return nil, err
			}
		case "tenants":
			tenants = s
		default:
			return nil, at(s.where, fmt.Errorf("unknown key %s: a file has defaults and tenants", printable(s.key)))
		}
	}
	if tenants.value == nil {
		return t, nil
	}
	all, err := sections("tenants", tenants.where, tenants.value)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if !IsName(s.key) {
			return nil, at(s.where, fmt.Errorf("%s is no tenant's name, which is %s", printable(s.key), ExpectsName))
		}
		e, err := r.entry(s.key, s, *t.defaults.policy)
		if err != nil {
			return nil, err
		}
		t.entries = append(t.entries, e)
		t.named[s.key] = e.policy
	}
	return t, nil
}

// entry returns the policy with the limits of a section. If two limits contradict each other, the error is at the key
// of the one that is too large, or at the section if that key is not in it.
func (r *reader) entry(tenant string, s section, policy Policy) (entry, error) {
	e := entry{tenant, &policy, s.where}
	said, err := sections(e.of(), s.where, s.value)
	if err != nil {
		return e, err
	}
	places := map[string]*token.Token{}
	for _, limit := range said {
		places[limit.key] = limit.where
		if err := r.take(&policy, limit); err != nil {
			return e, at(limit.where, fmt.Errorf("%s: %w", e.of(), err))
		}
	}
	if places["rate"] != nil && places["burst"] == nil {
		policy.Burst = 0 // it belongs to another rate
	}
	if c := cmp.Or(policy.conflict(asInFile), r.bounds.conflict(&policy)); c != nil {
		where := cmp.Or(places[c.key], places[c.other], s.where)
		return e, at(where, fmt.Errorf("%s: %w", e.of(), c))
	}
	policy = policy.completed()
	return e, nil
}

func asInFile(key string) string { return key }

func (r *reader) take(p *Policy, said section) error {
	for _, l := range r.limits {
		if l.key != said.key {
			continue
		}
		if err := l.take(p, said.value); err != nil {
			return fmt.Errorf("%s %w", l.key, err)
		}
		return nil
	}
	return fmt.Errorf("unknown key %s: there are %s", printable(said.key), keys(r.limits))
}
