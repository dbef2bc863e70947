package tenants

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/jsd-project/jsd/call"
)

// A snapshot is what a file comes to, never changed once made.
type snapshot struct {
	defaults entry
	entries  []entry // in the order of the file
	named    map[string]*Policy
}

// An entry is a policy and where it is said.
type entry struct {
	tenant string // empty: the defaults
	policy *Policy
	where  *token.Token // its key; nil: in no file
}

func (e *entry) of() string {
	if e.tenant == "" {
		return "defaults"
	}
	return "tenant " + e.tenant
}

// A reader makes snapshots of files.
type reader struct {
	languages []string // there are
	bounds    Bounds
}

// snapshot reads a whole file. Errors are of type FileError, without the file's name, or say something of it as a whole.
func (r *reader) snapshot(root *ast.MappingNode, defaults Policy) (*snapshot, error) {
	top, err := sections("the file", root.GetToken(), root)
	if err != nil {
		return nil, err
	}
	t := &snapshot{defaults: entry{policy: &defaults}, named: map[string]*Policy{}}
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
		if !call.IsName(s.key) {
			return nil, at(s.where, fmt.Errorf("%s is no tenant's name, which is %s", printable(s.key), call.NameForm))
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

// entry changes the policy by what the section says. Where that does not go together the error is at
// the key that is too much, or at the section where its key is not in it.
func (r *reader) entry(tenant string, s section, policy Policy) (entry, error) {
	e := entry{tenant, &policy, s.where}
	said, err := sections(e.of(), s.where, s.value)
	if err != nil {
		return e, err
	}
	places := map[string]*token.Token{}
	for _, limit := range said {
		places[limit.key] = limit.where
		if err := r.set(&policy, limit); err != nil {
			return e, at(limit.where, fmt.Errorf("%s: %w", e.of(), err))
		}
	}
	if places["rate"] != nil && places["burst"] == nil {
		policy.Burst = 0 // that of another rate
	}
	if c := cmp.Or(policy.conflict(asInFile), r.bounds.conflict(&policy)); c != nil {
		where := cmp.Or(places[c.key], places[c.other], s.where)
		return e, at(where, fmt.Errorf("%s: %w", e.of(), c))
	}
	policy.complete()
	return e, nil
}

func asInFile(key string) string { return key }

// set sets one key of a policy, as the file says.
func (r *reader) set(p *Policy, said section) error {
	row := rowOf(said.key)
	if row == nil {
		return fmt.Errorf("unknown key %s: there are %s", printable(said.key), keys())
	}
	err := row.parse(p, said.value)
	if err == nil {
		err = p.judge(said.key, r.languages)
	}
	if err != nil {
		return fmt.Errorf("%s %w", said.key, err)
	}
	return nil
}

func keys() string {
	names := make([]string, len(policyTable))
	for i := range policyTable {
		names[i] = policyTable[i].Key
	}
	return strings.Join(names, ", ")
}
