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

// An outgoing is a frame for the agent, with the frames before it that it depends on. They are written together.
type outgoing struct {
	before     [][]byte // whole frames together
	head, body []byte
	departure  departure // told when the frame is about to be written; or nil
}

// A departure is told that its frame is about to be written.
type departure interface {
	// departLocked may still change the frame. If it returns false, the frame is not written.
	departLocked(o *outgoing) bool
}

// A source has a frame of data to be written.
type source interface {
	// dataLocked returns the frame, which does not change until written is called, or nil if it is not wanted any more.
	dataLocked() []byte

	// written is called after dataLocked, when the frame was written or the link is dead. It does not wait.
	written()
}

// An outbox holds the frames that wait to be written. It has no bound of its own. Its callers bound it:
//   - calls and cancels by the agent's concurrency;
//   - replies by replyBytes and by the callbacks that may be open;
//   - closes by the sessions;
//   - a ping by the one that is not answered;
//   - frames of a stream by four.
type outbox struct {
	frames     []outgoing // in this order
	data       []source   // behind frames; each source is in it once
	replyBytes int        // in frames
}

func (b *outbox) empty() bool { return len(b.frames) == 0 && len(b.data) == 0 }

// A batch holds the frames of one write.
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

// written empties the batch, so that it can be used again. It holds on to no frame.
func (b *batch) written() {
	for _, s := range b.sources {
		s.written()
	}
	clear(b.pieces)
	clear(b.sources)
	b.pieces, b.bytes, b.sources = b.pieces[:0], 0, b.sources[:0]
}

// gatherLocked moves frames to an empty batch, in their order. If all frames fit, data follows, of the sources that have waited longest.
// Data comes after all frames, since the agent has to see that a stream was opened before it gets data of the stream.
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
