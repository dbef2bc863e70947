package scheduler

import (
	"context"
	"time"

	"github.com/jsd-project/jsd/call"
)

// start gives a container that may die by itself.
func (m *simulation) start(ctx context.Context, profile string) (Container, error) {
	c, err := m.w.start(ctx, profile)
	if err != nil {
		return nil, err
	}
	f := c.(*fake)
	m.mu.Lock()
	defer m.mu.Unlock()
	life := time.Duration(m.lives.ExpFloat64() * float64(m.e.life))
	return &mortal{fake: f, m: m, of: nobody, death: time.AfterFunc(life, f.die)}, nil
}

// A mortal is a fake that dies some day. It notes which calls it runs, and at its end whose it was.
type mortal struct {
	*fake
	m     *simulation
	of    group // the simulation's mutex guards it
	death *time.Timer
}

func (f *mortal) Start(job *call.Call, done call.Done) call.Running {
	c := job.Client.(*simClient).call
	c.began = time.Now()
	c.executed++
	f.m.mu.Lock()
	f.of = groupOf(c.tenant)
	f.m.mu.Unlock()
	if !c.crash {
		return f.fake.Start(job, done)
	}
	crash := time.AfterFunc(c.length/2, f.die)
	return f.fake.Start(job, func(res call.Result, err error) {
		crash.Stop()
		done(res, err)
	})
}

func (f *mortal) Close() error {
	f.death.Stop()
	why := f.why()
	f.m.mu.Lock()
	if f.m.ended[f.of] == nil {
		f.m.ended[f.of] = map[string]int{}
	}
	f.m.ended[f.of][why]++
	f.m.mu.Unlock()
	return f.fake.Close()
}

// why is the scheduler's reason to close it.
func (f *mortal) why() string {
	f.m.s.mu.Lock()
	defer f.m.s.mu.Unlock()
	for k := f.m.s.alloc.pool.draining.first; k != nil; k = k.next {
		if k.item.Container == f {
			return k.item.why
		}
	}
	return ""
}
