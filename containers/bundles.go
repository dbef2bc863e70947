package containers

import (
	"container/list"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/jsd-project/jsd/call"
)

const (
	// bundleBytes and bundleCount bound what an agent holds of bundles. The second is for small
	// ones, which cost more than their bytes, and keeps the header that drops them short.
	bundleBytes = 64 << 20

	// bundleShare is the part of a container's memory that its bundles may take: 1/8, since workers
	// hold those they use, too.
	bundleShare = 8

	bundleCount = 1000
)

// bundles knows which bundles an agent holds, and decides which it forgets: those that no call needs,
// the one needed longest ago first. Where calls need more than the bounds allow, they get it.
type bundles struct {
	maxBytes, maxCount int

	// mu guards what follows. need holds it until the call is in the writer's queue too, so that
	// the agent gets bundles, drops and calls in the order in which they were decided.
	mu    sync.Mutex
	held  map[string]*heldBundle
	idle  *list.List // of *heldBundle without calls, the one needed longest ago in front
	bytes int        // of all that are held
}

type heldBundle struct {
	id    string
	bytes int
	calls int           // that need it
	idle  *list.Element // nil while calls need it
}

func newBundles(maxBytes, maxCount int) *bundles {
	return &bundles{maxBytes: maxBytes, maxCount: maxCount, held: make(map[string]*heldBundle), idle: list.New()}
}

// need notes that a call needs b until release, and has enqueue put the call behind frames: those
// that bring b, or none where the agent holds it. On an error, which may be errFrameTooLong, nothing
// has happened.
func (s *bundles) need(b *call.Bundle, enqueue func(frames [][]byte)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var frames [][]byte
	h := s.held[b.ID]
	if h == nil {
		surplus := s.surplusLocked(b.Size)
		var err error
		if frames, err = encodeBundle(b, surplus); err != nil {
			return err
		}
		s.forgetLocked(surplus)
		h = &heldBundle{id: b.ID, bytes: b.Size}
		s.held[b.ID] = h
		s.bytes += b.Size
	}
	if h.idle != nil {
		s.idle.Remove(h.idle)
		h.idle = nil
	}
	h.calls++
	enqueue(frames)
	return nil
}

// release ends a call's need: the agent is done with the call.
func (s *bundles) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[id]
	h.calls--
	if h.calls == 0 {
		h.idle = s.idle.PushBack(h)
	}
}

// surplusLocked gives the bundles that make room for another one of n bytes, as far as calls leave any.
func (s *bundles) surplusLocked(n int) []*heldBundle {
	var surplus []*heldBundle
	bytes, count := s.bytes+n, len(s.held)+1
	for e := s.idle.Front(); e != nil && (bytes > s.maxBytes || count > s.maxCount); e = e.Next() {
		h := e.Value.(*heldBundle)
		surplus = append(surplus, h)
		bytes -= h.bytes
		count--
	}
	return surplus
}

func (s *bundles) forgetLocked(surplus []*heldBundle) {
	for _, h := range surplus {
		s.idle.Remove(h.idle)
		delete(s.held, h.id)
		s.bytes -= h.bytes
	}
}

type bundleHeader struct {
	Bundle string   `json:"bundle"`
	More   bool     `json:"more,omitempty"` // another part follows
	Drop   []string `json:"drop,omitempty"` // bundles to forget first
}

// encodeBundle makes a frame of each part; the first says what to drop. Parts are not copied: every
// second element is a part as it came.
func encodeBundle(b *call.Bundle, drop []*heldBundle) ([][]byte, error) {
	parts := b.Parts
	if len(parts) == 0 {
		parts = []json.RawMessage{[]byte("{}")}
	}
	header := bundleHeader{Bundle: b.ID}
	for _, h := range drop {
		header.Drop = append(header.Drop, h.id)
	}
	frames := make([][]byte, 0, 2*len(parts))
	for i, part := range parts {
		header.More = i < len(parts)-1
		head, err := encodeHead(kindBundle, header, part)
		if err != nil {
			return nil, fmt.Errorf("encode a bundle: %w", err)
		}
		frames = append(frames, head, part)
		header.Drop = nil
	}
	return frames, nil
}
