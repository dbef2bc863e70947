package tenants

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
)

// Config is read once, by New.
type Config struct {
	Defaults  Policy   // for what the file does not say
	Bounds    Bounds   // that no tenant's limits may exceed
	Languages []string // that scripts may be in
	File      string   // empty: there is none, and all tenants have the defaults
}

// Policies are the limits of all tenants. Its methods may be called from any goroutine.
type Policies struct {
	cfg    Config
	reader reader
	table  atomic.Pointer[table]

	mu    sync.Mutex // held while the table changes; guards rules
	rules []Rule
}

// A Rule returns an error if a policy cannot be used on this machine. The text of the error continues a sentence that
// begins with the tenant's name.
type Rule func(context.Context, *Policy) error

// New reads the file. The error has its name, with line and column.
func New(cfg Config) (*Policies, error) {
	cfg.Defaults = cfg.Defaults.completed()
	ps := &Policies{cfg: cfg, reader: reader{limits(cfg.Languages), cfg.Bounds}}
	return ps, ps.Reload(context.Background())
}

// Of returns the policy of a tenant. It does not wait. Its cost is one look into a map. The caller does not keep the
// policy, because the next Reload may change it.
func (ps *Policies) Of(tenant string) *Policy {
	t := ps.table.Load()
	if p := t.named[tenant]; p != nil {
		return p
	}
	return t.defaults.policy
}

// Len returns the number of tenants that have an entry of their own.
func (ps *Policies) Len() int { return len(ps.table.Load().entries) }

// All yields every policy: first that of the tenants without an entry, under the empty name, then the others in the
// order of the file.
func (ps *Policies) All() iter.Seq2[string, *Policy] {
	return func(yield func(string, *Policy) bool) {
		for e := range ps.table.Load().all() {
			if !yield(e.tenant, e.policy) {
				return
			}
		}
	}
}

func (t *table) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		if !yield(&t.defaults) {
			return
		}
		for i := range t.entries {
			if !yield(&t.entries[i]) {
				return
			}
		}
	}
}

// Require checks every policy by a rule, now and at each Reload from then on. The error says which policy does not
// pass. On an error the rule is not kept.
func (ps *Policies) Require(ctx context.Context, rule Rule) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err := ps.judge(ctx, ps.table.Load(), rule); err != nil {
		return err
	}
	ps.rules = append(ps.rules, rule)
	return nil
}

// Reload reads the file again, if there is one. On an error everything stays as it was.
func (ps *Policies) Reload(ctx context.Context) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	t, err := ps.read()
	if err != nil {
		return ps.inFile(err)
	}
	if err := ps.judge(ctx, t, ps.rules...); err != nil {
		return err
	}
	ps.table.Store(t)
	return nil
}

func (ps *Policies) read() (*table, error) {
	defaults := ps.cfg.Defaults
	if ps.cfg.File == "" {
		return &table{defaults: entry{policy: &defaults}}, nil
	}
	content, err := read(ps.cfg.File)
	if err != nil {
		return nil, err
	}
	root, err := parse(content)
	if err != nil {
		return nil, err
	}
	return ps.reader.table(root, defaults)
}

func (ps *Policies) judge(ctx context.Context, t *table, rules ...Rule) error {
	for e := range t.all() {
		for _, rule := range rules {
			err := rule(ctx, e.policy)
			switch {
			case err == nil:
			case e.where == nil: // the error is not in the file
				return err
			default:
				return ps.inFile(at(e.where, fmt.Errorf("%s: %w", e.of(), err)))
			}
		}
	}
	return nil
}

// inFile adds the name of the file to an error.
func (ps *Policies) inFile(err error) error {
	known := &FileError{Err: err}
	errors.As(err, &known)
	known.File = ps.cfg.File
	return known
}
