package containers

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/quota"
)

const (
	// bundleBytes and bundleCount bound the bundles that an agent holds. A small bundle costs more than its bytes, which
	// bundleCount takes into account. It also bounds the length of the header that drops bundles.
	bundleBytes = 64 << 20

	// bundleShare is the part of a container's memory that its bundles may take: 1/8, because each worker holds the bundles
	// that it uses, too.
	bundleShare = 8

	bundleCount = 1000
)

// bundles keeps a record of the bundles that an agent holds, and decides which of them it drops. It drops only bundles that
// no call needs, and the least recently needed ones first. The bundles that calls need may exceed the bounds.
type bundles struct {
	maxBytes, maxCount int

	// mu guards held. need also holds it while it enqueues the call, so that the agent receives bundles, drops and calls in
	// the order in which they were decided.
	mu   sync.Mutex
	held *quota.Store[soleOwner, string, *heldBundle]
}

// soleOwner is the one owner in the store: a container has one tenant.
type soleOwner struct{}

type heldBundle struct {
	id    string
	bytes int
	calls int // calls that need it
}

func newBundles(maxBytes, maxCount int) *bundles {
	return &bundles{
		maxBytes: maxBytes, maxCount: maxCount,
		held: quota.NewStore[soleOwner, string, *heldBundle](math.MaxInt64, quota.ByValue),
	}
}

// need records that a call needs b until release. It calls enqueue, which puts frames and then the call into the writer's
// queue. The frames bring b; there are none if the agent holds b. If need returns an error, which may be errFrameTooLong, it
// has changed nothing and not called enqueue.
func (s *bundles) need(b *call.Bundle, enqueue func(frames [][]byte)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var frames [][]byte
	h, found := s.held.Get(soleOwner{}, b.ID)
	if !found {
		surplus := s.surplusLocked(b.Size)
		var err error
		if frames, err = encodeBundle(b, surplus); err != nil {
			return err
		}
		for _, h := range surplus {
			s.held.Remove(soleOwner{}, h.id)
		}
		h = &heldBundle{id: b.ID, bytes: b.Size}
		s.held.Put(soleOwner{}, h.id, h, int64(h.bytes), math.MaxInt64)
	}
	h.calls++
	enqueue(frames)
	return nil
}

// release records that a call no longer needs a bundle, because it has ended.
func (s *bundles) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, _ := s.held.Get(soleOwner{}, id)
	h.calls--
}

// surplusLocked returns the bundles to drop before a bundle of n bytes is added. It may return too few, because calls need
// the others.
func (s *bundles) surplusLocked(n int) (surplus []*heldBundle) {
	bytes, count := int(s.held.Size())+n, s.held.Len()+1
	for _, h := range s.held.All(soleOwner{}) {
		if bytes <= s.maxBytes && count <= s.maxCount {
			break
		}
		if h.calls > 0 {
			continue
		}
		surplus = append(surplus, h)
		bytes -= h.bytes
		count--
	}
	return surplus
}

type bundleHeader struct {
	Bundle string   `json:"bundle"`
	More   bool     `json:"more,omitempty"` // another part follows
	Drop   []string `json:"drop,omitempty"` // bundles that the agent drops first
}

// encodeBundle makes a frame of each part of b. The first frame names the bundles to drop. A frame takes two elements of the
// result: its head, and the part itself, which is not copied.
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
