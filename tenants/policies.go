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
	Defaults  Policy   // of all tenants that the file says nothing else of; CheckFlags has to have passed them
	Bounds    Bounds   // no tenant may be given more
	Languages []string // there are
	File      string   // empty: none, everybody has the defaults
}

// Policies are the limits of all tenants. Its methods may be called from any goroutine.
type Policies struct {
	cfg     Config
	reader  reader
	current atomic.Pointer[snapshot]

	mu    sync.Mutex // held while current changes; guards rules
	rules []Rule
}

// A Rule says what else keeps a policy from being one here, in words that go behind the tenant's name.
type Rule func(context.Context, *Policy) error

// New reads the file. The error names it, with line and column.
func New(cfg Config) (*Policies, error) {
	cfg.Defaults.complete()
	ps := &Policies{cfg: cfg, reader: reader{cfg.Languages, cfg.Bounds}}
	return ps, ps.Reload(context.Background())
}

// Of gives the policy of a tenant. It never waits, and costs a look in a map; what it gives is not to
// be kept, as the next Reload may change it.
func (ps *Policies) Of(tenant string) *Policy {
	t := ps.current.Load()
	if p := t.named[tenant]; p != nil {
		return p
	}
	return t.defaults.policy
}

// Len is how many tenants have an entry of their own.
func (ps *Policies) Len() int { return len(ps.current.Load().entries) }

// All gives every policy there is: first that of the tenants without an entry, under the empty name,
// then the others in the order of the file.
func (ps *Policies) All() iter.Seq2[string, *Policy] {
	return func(yield func(string, *Policy) bool) {
		for e := range ps.current.Load().all() {
			if !yield(e.tenant, e.policy) {
				return
			}
		}
	}
}

func (t *snapshot) all() iter.Seq[*entry] {
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

// Require judges every policy by a rule, now and with each Reload from then on. An error says which
// policy does not pass; the rule is not kept then.
func (ps *Policies) Require(ctx context.Context, rule Rule) error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if err := ps.judge(ctx, ps.current.Load(), rule); err != nil {
		return err
	}
	ps.rules = append(ps.rules, rule)
	return nil
}

// Reload reads the file again, if there is one. With an error all stays as it was.
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
	ps.current.Store(t)
	return nil
}

func (ps *Policies) read() (*snapshot, error) {
	defaults := ps.cfg.Defaults
	if ps.cfg.File == "" {
		return &snapshot{defaults: entry{policy: &defaults}}, nil
	}
	content, err := read(ps.cfg.File)
	if err != nil {
		return nil, err
	}
	root, err := parse(content)
	if err != nil {
		return nil, err
	}
	return ps.reader.snapshot(root, defaults)
}

func (ps *Policies) judge(ctx context.Context, t *snapshot, rules ...Rule) error {
	for e := range t.all() {
		for _, rule := range rules {
			err := rule(ctx, e.policy)
			switch {
			case err == nil:
			case e.where == nil: // the file is not to blame
				return err
			default:
				return ps.inFile(at(e.where, fmt.Errorf("%s: %w", e.of(), err)))
			}
		}
	}
	return nil
}

// inFile says which file the error is about.
func (ps *Policies) inFile(err error) error {
	known := &FileError{Err: err}
	errors.As(err, &known)
	known.File = ps.cfg.File
	return known
}
