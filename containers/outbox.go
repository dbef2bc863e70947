package containers

const (
	// batchBytes and batchPieces bound what leaves in one write, but for a frame that is longer by itself. The first is
	// what a pipe holds.
	batchBytes  = 64 << 10
	batchPieces = 64

	// batchData is the number of frames of data in one write: what a call that comes now waits for.
	batchData = 4

	keptFrames = 256 // places of an outbox that is used again; a crowd of replies leaves no larger one
)

// An outgoing is what the agent gets in one piece: a frame, and in front of it others that it depends on.
type outgoing struct {
	before     [][]byte // whole frames together
	head, body []byte
	departure  departure // nil: nothing depends on when the frame leaves
}

// A departure is told that its frame is about to be written.
type departure interface {
	// departLocked may still change the frame. With false the frame is left out.
	departLocked(o *outgoing) bool
}

// A source has a frame of data to be written.
type source interface {
	// dataLocked gives the frame, which stays as it is until written is called, or nil where it is not wanted any more.
	dataLocked() []byte

	// written follows dataLocked when the frame has left, or is lost because the link is dead. It does not wait.
	written()
}

// An outbox holds what waits to be written. It is bounded by what puts frames into it: calls and cancels by the calls that
// the agent may be at, replies by replyBytes and by the callbacks that may be open, closes by the sessions, pings by one
// at a time, and a stream has four frames at most.
type outbox struct {
	frames     []outgoing // in this order
	data       []source   // behind frames; each source is in it once
	replyBytes int        // in frames
}

func (b *outbox) empty() bool { return len(b.frames) == 0 && len(b.data) == 0 }

// A batch is what leaves in one write.
type batch struct {
	pieces  [][]byte
	bytes   int
	sources []source
}

func (b *batch) add(pieces ...[]byte) {
	for _, piece := range pieces {
		if len(piece) > 0 {
			b.pieces = append(b.pieces, piece)
			b.bytes += len(piece)
		}
	}
}

func (b *batch) full() bool { return b.bytes >= batchBytes || len(b.pieces) >= batchPieces }

// written empties the batch, which may be used again. What large frames are made of is not kept.
func (b *batch) written() {
	for _, s := range b.sources {
		s.written()
	}
	clear(b.pieces)
	clear(b.sources)
	b.pieces, b.bytes, b.sources = b.pieces[:0], 0, b.sources[:0]
}

// gatherLocked moves frames to an empty batch: those that wait, in order, and behind the last of them a little data of the
// sources that have waited longest. Data goes behind the frames that came before it, since the agent knows of no stream
// whose opened it has not seen.
func (b *outbox) gatherLocked(to *batch) {
	n := 0
	for n < len(b.frames) && !to.full() {
		o := &b.frames[n]
		n++
		if o.departure == nil || o.departure.departLocked(o) {
			to.add(o.before...)
			to.add(o.head, o.body)
		}
	}
	b.frames = dropFront(b.frames, n)
	if len(b.frames) > 0 {
		return
	}
	n = 0
	for n < len(b.data) && len(to.sources) < batchData {
		s := b.data[n]
		n++
		if frame := s.dataLocked(); frame != nil {
			to.add(frame)
			to.sources = append(to.sources, s)
		}
	}
	b.data = dropFront(b.data, n)
}

// dropFront removes the first n elements.
func dropFront[T any](list []T, n int) []T {
	rest := copy(list, list[n:])
	clear(list[rest:])
	if rest == 0 && cap(list) > keptFrames {
		return nil
	}
	return list[:rest]
}
