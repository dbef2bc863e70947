package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A bundleHolder is what an agent does with the frames of bundles.
type bundleHolder struct {
	t      *testing.T
	parts  map[string][]string // by bundle, those that are whole
	coming string              // the bundle whose next part has to follow
	got    []string            // parts of it so far
}

func newBundleHolder(t *testing.T) *bundleHolder {
	return &bundleHolder{t: t, parts: make(map[string][]string)}
}

func (a *bundleHolder) take(f frame) {
	var h bundleHeader
	if err := json.Unmarshal(f.header, &h); err != nil || h.Bundle == "" || f.kind != kindBundle {
		a.t.Errorf("want a bundle, got kind %d, header %s", f.kind, f.header)
		return
	}
	if a.coming != "" && (h.Bundle != a.coming || h.Drop != nil) {
		a.t.Errorf("between two parts of %q came %s", a.coming, f.header)
	}
	for _, id := range h.Drop {
		if a.parts[id] == nil {
			a.t.Errorf("told to drop %q, which is not there", id)
		}
		delete(a.parts, id)
	}
	if a.parts[h.Bundle] != nil {
		a.t.Errorf("%q came again", h.Bundle)
	}
	a.coming, a.got = h.Bundle, append(a.got, string(f.body))
	if !h.More {
		a.parts[h.Bundle] = a.got
		a.coming, a.got = "", nil
	}
}

// bytes is what it holds in whole bundles.
func (a *bundleHolder) bytes() int {
	n := 0
	for _, parts := range a.parts {
		n += len(strings.Join(parts, ""))
	}
	return n
}

// takeAll is take for frames that make up the pieces.
func (a *bundleHolder) takeAll(pieces [][]byte) {
	frames, stream := newFrameBuffer(MaxFrame), bytes.NewReader(slices.Concat(pieces...))
	f, err := frames.read(stream)
	for ; err == nil; f, err = frames.read(stream) {
		a.take(f)
	}
	if err != io.EOF {
		a.t.Error(err)
	}
}

// bundleOf gives a bundle of size bytes, in parts of one byte and of the rest.
func bundleOf(id string, size int) *call.Bundle {
	return &call.Bundle{ID: id, Size: size, Parts: []json.RawMessage{[]byte("x"), []byte(strings.Repeat("y", size-1))}}
}

func TestBundlesStayWithinBounds(t *testing.T) {
	type step struct {
		need    string // a bundle, of as many bytes as its name has, or
		release string // the end of a call's need
		sent    string // headers of the frames
		held    string // afterwards
	}
	tests := []struct {
		name         string
		bytes, count int
		steps        []step
	}{
		{name: "sent once", bytes: 10, count: 9, steps: []step{
			{need: "aa", sent: `{"bundle":"aa","more":true}{"bundle":"aa"}`, held: "aa"},
			{need: "aa", held: "aa"},
			{release: "aa", held: "aa"},
			{release: "aa", held: "aa"},
			{need: "aa", held: "aa"},
		}},
		{name: "the one needed longest ago goes first", bytes: 6, count: 9, steps: []step{
			{need: "aa", sent: `{"bundle":"aa","more":true}{"bundle":"aa"}`, held: "aa"},
			{need: "bb", sent: `{"bundle":"bb","more":true}{"bundle":"bb"}`, held: "aa bb"},
			{need: "cc", sent: `{"bundle":"cc","more":true}{"bundle":"cc"}`, held: "aa bb cc"},
			{release: "aa", held: "aa bb cc"}, {release: "bb", held: "aa bb cc"}, {release: "cc", held: "aa bb cc"},
			{need: "aa", held: "aa bb cc"}, {release: "aa", held: "aa bb cc"},
			{need: "dd", sent: `{"bundle":"dd","more":true,"drop":["bb"]}{"bundle":"dd"}`, held: "aa cc dd"},
			{need: "bbb", sent: `{"bundle":"bbb","more":true,"drop":["cc","aa"]}{"bundle":"bbb"}`, held: "bbb dd"},
		}},
		{name: "sent again after it was dropped", bytes: 3, count: 9, steps: []step{
			{need: "aa", sent: `{"bundle":"aa","more":true}{"bundle":"aa"}`, held: "aa"}, {release: "aa", held: "aa"},
			{need: "bb", sent: `{"bundle":"bb","more":true,"drop":["aa"]}{"bundle":"bb"}`, held: "bb"}, {release: "bb", held: "bb"},
			{need: "aa", sent: `{"bundle":"aa","more":true,"drop":["bb"]}{"bundle":"aa"}`, held: "aa"},
		}},
		{name: "never one that a call needs", bytes: 4, count: 9, steps: []step{
			{need: "aa", sent: `{"bundle":"aa","more":true}{"bundle":"aa"}`, held: "aa"},
			{need: "aa", held: "aa"},
			{need: "bb", sent: `{"bundle":"bb","more":true}{"bundle":"bb"}`, held: "aa bb"},
			{release: "aa", held: "aa bb"}, // one of two
			{need: "cc", sent: `{"bundle":"cc","more":true}{"bundle":"cc"}`, held: "aa bb cc"},
			{release: "bb", held: "aa bb cc"},
			{need: "dd", sent: `{"bundle":"dd","more":true,"drop":["bb"]}{"bundle":"dd"}`, held: "aa cc dd"},
			{release: "cc", held: "aa cc dd"}, {release: "dd", held: "aa cc dd"}, {release: "aa", held: "aa cc dd"},
			{need: "ee", sent: `{"bundle":"ee","more":true,"drop":["cc","dd"]}{"bundle":"ee"}`, held: "aa ee"},
		}},
		{name: "larger than the bound", bytes: 4, count: 9, steps: []step{
			{need: "aa", sent: `{"bundle":"aa","more":true}{"bundle":"aa"}`, held: "aa"}, {release: "aa", held: "aa"},
			{need: "bbbbbb", sent: `{"bundle":"bbbbbb","more":true,"drop":["aa"]}{"bundle":"bbbbbb"}`, held: "bbbbbb"},
			{release: "bbbbbb", held: "bbbbbb"},
			{need: "cc", sent: `{"bundle":"cc","more":true,"drop":["bbbbbb"]}{"bundle":"cc"}`, held: "cc"},
		}},
		{name: "many small ones", bytes: 1000, count: 2, steps: []step{
			{need: "aa", sent: `{"bundle":"aa","more":true}{"bundle":"aa"}`, held: "aa"}, {release: "aa", held: "aa"},
			{need: "bb", sent: `{"bundle":"bb","more":true}{"bundle":"bb"}`, held: "aa bb"}, {release: "bb", held: "aa bb"},
			{need: "cc", sent: `{"bundle":"cc","more":true,"drop":["aa"]}{"bundle":"cc"}`, held: "bb cc"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, agent := newBundles(test.bytes, test.count), newBundleHolder(t)
			for i, step := range test.steps {
				var headers string
				if step.need != "" {
					err := s.need(bundleOf(step.need, len(step.need)), func(frames [][]byte) {
						agent.takeAll(frames)
						for j := 0; j < len(frames); j += 2 { // every second piece is a part
							headers += string(frames[j][frameHead : len(frames[j])-1])
						}
					})
					if err != nil {
						t.Fatal(err)
					}
				} else {
					s.release(step.release)
				}
				var held []string
				for id := range agent.parts {
					held = append(held, id)
				}
				slices.Sort(held)
				if got := strings.Join(held, " "); headers != step.sent || got != step.held {
					t.Errorf("step %d: sent %s, held %s\nwant %s, %s", i, headers, got, step.sent, step.held)
				}
			}
		})
	}
}

func TestBundleThatDoesNotFitChangesNothing(t *testing.T) {
	s, agent := newBundles(10, 9), newBundleHolder(t)
	if err := s.need(bundleOf("a", 10), agent.takeAll); err != nil {
		t.Fatal(err)
	}
	s.release("a")
	b := bundleOf("b", 10)
	b.Parts[1] = make([]byte, MaxFrame)
	for range 2 {
		err := s.need(b, func([][]byte) { t.Error("the call was made") })
		if !errors.Is(err, errFrameTooLong) {
			t.Errorf("got %v", err)
		}
	}
	if err := s.need(bundleOf("a", 10), func(frames [][]byte) {
		if frames != nil {
			t.Error("the bundle before was forgotten")
		}
	}); err != nil {
		t.Error(err)
	}
}

func TestBundleWithoutPartsIsSent(t *testing.T) {
	agent := newBundleHolder(t)
	if err := newBundles(10, 9).need(&call.Bundle{ID: "a"}, agent.takeAll); err != nil || !slices.Equal(agent.parts["a"], []string{"{}"}) {
		t.Errorf("got %q, %v", agent.parts, err)
	}
}

// idle counts the bundles that no call needs.
func (s *bundles) idle() (n int) {
	for _, h := range s.held.All(soleOwner{}) {
		if h.calls == 0 {
			n++
		}
	}
	return n
}

// However calls come, the agent has got a call's bundle when it gets the call, and keeps it until
// that is answered.
func TestBundlesUnderManyCalls(t *testing.T) {
	const maxBytes, maxCount, workers, rounds, sizes = 50, 6, 16, 300, 20
	s, agent := newBundles(maxBytes, maxCount), newBundleHolder(t)
	var mu sync.Mutex              // guards needed; s guards agent
	needed := make(map[string]int) // calls by bundle
	need := func(id string, by int) {
		mu.Lock()
		defer mu.Unlock()
		needed[id] += by
	}
	check := func(sent bool) {
		mu.Lock()
		defer mu.Unlock()
		for id, calls := range needed {
			if calls > 0 && agent.parts[id] == nil {
				t.Errorf("%q is not there while %d calls need it", id, calls)
			}
		}
		if bytes := agent.bytes(); sent && (bytes > maxBytes || len(agent.parts) > maxCount) && s.idle() > 0 {
			t.Errorf("the agent holds %d bytes in %d bundles, of which calls need all but %d", bytes, len(agent.parts), s.idle())
		}
	}
	var calls sync.WaitGroup
	for range workers {
		calls.Go(func() {
			for range rounds {
				size := 2 + rand.IntN(sizes)
				id := fmt.Sprint("bundle ", size)
				if err := s.need(bundleOf(id, size), func(frames [][]byte) {
					agent.takeAll(frames)
					need(id, 1)
					check(frames != nil)
				}); err != nil {
					t.Error(err)
				}
				runtime.Gosched() // so that others come while this call is in flight
				need(id, -1)
				s.release(id)
			}
		})
	}
	calls.Wait()
	// Nothing is needed any more, so the next one makes the agent come down to the bounds.
	if err := s.need(bundleOf("the last", 10), agent.takeAll); err != nil {
		t.Fatal(err)
	}
	if bytes := agent.bytes(); bytes > maxBytes || len(agent.parts) > maxCount || bytes != int(s.held.Size()) || len(agent.parts) != s.held.Len() {
		t.Errorf("the agent holds %d bytes in %d bundles, not %d in %d", bytes, len(agent.parts), s.held.Size(), s.held.Len())
	}
}

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
			c.succeeds(t, call.Call{Bundle: bundleOf(id, 2), Timeout: time.Minute})
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
