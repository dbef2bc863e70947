package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// nextWithBundles is next for an agent that keeps bundles in held until another frame comes.
func (p *peer) nextWithBundles(held *bundleHolder) (frame, bool) {
	for {
		f, ok := p.next()
		if !ok || f.kind != kindBundle {
			if held.coming != "" && ok {
				p.t.Errorf("kind %d came between two parts of %q", f.kind, held.coming)
			}
			return f, ok
		}
		held.take(f)
	}
}

func (p *peer) nextCallWithBundles(held *bundleHolder) (callHeader, bool) {
	var h callHeader
	f, ok := p.nextWithBundles(held)
	if !ok {
		return h, false
	}
	if err := json.Unmarshal(f.header, &h); err != nil || f.kind != kindCall {
		p.t.Errorf("want a call, got kind %d, header %s", f.kind, f.header)
	}
	return h, true
}

// Many calls over one link, some of them given up, with more bundles than the agent may hold: each
// finds its bundle there, and none is dropped under a call that the agent has not answered.
func TestCallsFindTheirBundles(t *testing.T) {
	limits := testLimits
	limits.Concurrency = 8
	c, _ := open(t, limits, func(p *peer) {
		held := newBundleHolder(t)
		var mu sync.Mutex // guards p.conn for writing, and working
		working := make(map[string]int)
		var answers sync.WaitGroup
		defer answers.Wait()
		for {
			f, ok := p.nextWithBundles(held)
			if !ok {
				return
			}
			var h callHeader
			if err := json.Unmarshal(f.header, &h); err != nil || f.kind == kindCancel {
				continue // its answer is on the way
			}
			mu.Lock()
			working[h.Bundle]++
			for id, calls := range working {
				if calls > 0 && held.parts[id] == nil {
					t.Errorf("%q is not there while %d calls need it", id, calls)
				}
			}
			mu.Unlock()
			value := strings.Join(held.parts[h.Bundle], "")
			answers.Go(func() {
				mu.Lock()
				defer mu.Unlock()
				working[h.Bundle]--
				p.result(h.ID, `"`+value+`"`)
			})
		}
	})
	c.calls.bundles = newBundles(50, 6)
	var calls sync.WaitGroup
	for i := range 400 {
		calls.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%5 == 0 {
				calls.Go(cancel)
			}
			b := bundleOf(fmt.Sprint("bundle ", i%19), 2+i%19)
			result, err := c.Execute(ctx, call.Call{Bundle: b, Timeout: time.Minute})
			var failure *call.Failure
			if i%5 == 0 && errors.As(err, &failure) && failure.Code == call.Cancelled {
				return
			}
			if want := fmt.Sprintf(`"%s"`, slices.Concat(b.Parts[0], b.Parts[1])); err != nil || string(result.Value) != want {
				t.Errorf("call %d got %s, %v, want %s", i, result.Value, err, want)
			}
		})
	}
	calls.Wait()
}

func TestCancelledCallKeepsItsBundleUntilTheAgentIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := open(t, testLimits, func(p *peer) {
			held := newBundleHolder(t)
			first, _ := p.nextCallWithBundles(held)
			p.next() // its cancel
			second, _ := p.nextCallWithBundles(held)
			if len(held.parts) != 2 {
				t.Errorf("a bundle was dropped under a call: %q", held.parts)
			}
			p.failure(first.ID, `"code":1003`)
			p.result(second.ID, "2")
			third, _ := p.nextCallWithBundles(held)
			if len(held.parts) != 1 || held.parts["cc"] == nil {
				t.Errorf("bundles that no call needs were kept: %q", held.parts)
			}
			p.result(third.ID, "3")
			p.next()
		})
		c.calls.bundles = newBundles(3, 9)
		_, err := c.Execute(cancelled(t, time.Second), call.Call{Bundle: bundleOf("aa", 2), Timeout: time.Minute})
		if !reflect.DeepEqual(err, &call.Failure{Code: call.Cancelled}) {
			t.Errorf("got %v", err)
		}
		for _, id := range []string{"bb", "cc"} {
			if _, err := c.Execute(t.Context(), call.Call{Bundle: bundleOf(id, 2), Timeout: time.Minute}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestBundleThatIsNotSentIsNotHeld(t *testing.T) {
	limits := testLimits
	limits.Concurrency = 1
	c, _ := open(t, limits, func(p *peer) {
		held := newBundleHolder(t)
		if h, ok := p.nextCallWithBundles(held); ok {
			value, _ := json.Marshal(held.parts[h.Bundle])
			p.result(h.ID, string(value))
		}
		p.next()
	})
	large := strings.Repeat("y", 3*batchBytes)
	parts := []string{"1", large, "2", "3", large}
	good := &call.Bundle{ID: "a", Size: 3 + 2*len(large)}
	for _, part := range parts {
		good.Parts = append(good.Parts, []byte(part))
	}
	tooLong := &call.Bundle{ID: "a", Parts: []json.RawMessage{[]byte("1"), make([]byte, MaxFrame)}, Size: 1 + MaxFrame}
	for name, job := range map[string]call.Call{
		"a part": {Bundle: tooLong, Timeout: time.Minute},
		"a call": {Script: make([]byte, MaxFrame), Bundle: good, Timeout: time.Minute},
	} {
		if _, err := c.Execute(t.Context(), job); !reflect.DeepEqual(err, &call.Failure{Code: call.LimitExceeded, Limit: "frame"}) {
			t.Fatalf("%s too long: got %v", name, err)
		}
	}
	result, err := c.Execute(t.Context(), call.Call{Bundle: good, Timeout: time.Minute})
	var got []string
	if err != nil || json.Unmarshal(result.Value, &got) != nil || !slices.Equal(got, parts) {
		t.Errorf("got %d bytes, %v", len(result.Value), err)
	}
}

func TestCallHeaderSaysWhatTheCallAsksFor(t *testing.T) {
	const want = `{"id":1,"timeout":2000,"cpu":1000,"bundle":"a","memory":64,"stats":true}`
	c, _ := open(t, testLimits, func(p *peer) {
		f, _ := p.nextWithBundles(newBundleHolder(t))
		if string(f.header) != want {
			t.Errorf("got %s, want %s", f.header, want)
		}
		p.result(1, "1")
		p.next()
	})
	if _, err := c.Execute(t.Context(), call.Call{
		Bundle: bundleOf("a", 2), Timeout: 2 * time.Second, CPU: time.Second, Memory: 64, Stats: true, OneShot: true,
	}); err != nil {
		t.Error(err)
	}
}

func TestBundleOnADeadLink(t *testing.T) {
	c, _ := open(t, testLimits, func(p *peer) { p.next() })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 20 { // more than there are slots
		_, err := c.Execute(t.Context(), call.Call{Bundle: bundleOf("a", 2), Timeout: time.Minute})
		var lost *call.LostError
		if !errors.As(err, &lost) || lost.Started || !errors.Is(err, call.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}
