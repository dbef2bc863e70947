package containers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	// Version of the link. Both sides name it in their hello, and end the link where it differs.
	Version = 5

	frameHead = 5 // length and kind
)

type kind byte

const (
	kindHello    kind = 1
	kindCall     kind = 2
	kindCancel   kind = 3
	kindResult   kind = 4
	kindFailure  kind = 5
	kindBundle   kind = 9 // 6, 7 and 8 are between an agent and its workers
	kindPrint    kind = 10
	kindCallback kind = 11
	kindReply    kind = 12
	kindClose    kind = 13
	kindEnded    kind = 14
	kindPing     kind = 15
	kindPong     kind = 16
	kindOpen     kind = 17
	kindOpened   kind = 18
	kindData     kind = 19
	kindCredit   kind = 20
	kindFinish   kind = 21
	kindAbort    kind = 22
	kindClosed   kind = 23
)

var (
	// errProtocol is under every error that says an agent broke the rules of the link.
	errProtocol = errors.New("broken link rules")

	errFrameTooLong = errors.New("frame too long")
)

// A frame is one message of the link, cut in its parts.
type frame struct {
	kind   kind
	header []byte // of a frame of data: all of it
	body   []byte // nil without a newline behind the header
	own    bool   // the payload is in memory of its own
}

func newFrame(k kind, payload []byte, own bool) frame {
	f := frame{kind: k, header: payload, own: own}
	if i := bytes.IndexByte(payload, '\n'); i >= 0 && k != kindData {
		f.header, f.body = payload[:i:i], payload[i+1:]
	}
	return f
}

// lastingBody is the body in memory that no later frame is read into.
func (f *frame) lastingBody() []byte {
	if f.own {
		return f.body
	}
	return bytes.Clone(f.body)
}

// decode takes the header of a frame to the daemon that is neither a hello nor an answer.
func (f *frame) decode(l *Limits, header any) error {
	if len(f.header) > HeaderRoom || len(f.body) > l.Result {
		return fmt.Errorf("%w: header of %d bytes and body of %d in a frame of kind %d", errProtocol, len(f.header), len(f.body), f.kind)
	}
	if err := json.Unmarshal(f.header, header); err != nil {
		return fmt.Errorf("%w: header: %w", errProtocol, err)
	}
	return nil
}

const (
	readBuffer   = 32 << 10 // bytes of a frameBuffer; a frame that does not fit has memory of its own
	smallPayload = 64 << 10 // bytes taken at once for a payload that is only announced
)

// A frameBuffer cuts frames out of what is read. Whoever reads puts bytes into Space and says so with add; next then gives
// the frames that are complete.
type frameBuffer struct {
	limit int // bytes of a payload; a longer one is refused before it is read

	buf        []byte
	start, end int // of what is in buf and in no frame yet

	kind    kind
	length  int    // of the payload that large is for
	large   []byte // a payload that does not fit in buf, as far as it has come
	isLarge bool   // the next bytes belong in large
}

func newFrameBuffer(limit int) *frameBuffer {
	return &frameBuffer{limit: limit, buf: make([]byte, readBuffer)}
}

// Space is where the next bytes go. It is never empty. Frames that were given before are not valid any more, but for those
// that own their payload.
func (b *frameBuffer) Space() []byte {
	if b.isLarge {
		if len(b.large) == cap(b.large) { // memory is taken as the payload arrives
			b.large = append(make([]byte, 0, min(b.length, 2*cap(b.large))), b.large...)
		}
		return b.large[len(b.large):cap(b.large)]
	}
	if b.start > 0 {
		b.end = copy(b.buf, b.buf[b.start:b.end])
		b.start = 0
	}
	return b.buf[b.end:]
}

// add takes the first n bytes of the last Space.
func (b *frameBuffer) add(n int) {
	if b.isLarge {
		b.large = b.large[:len(b.large)+n]
	} else {
		b.end += n
	}
}

// next gives the next frame, or false where it is not complete. The frame is valid until Space is asked for again.
func (b *frameBuffer) next() (frame, bool, error) {
	if b.isLarge {
		if len(b.large) < b.length {
			return frame{}, false, nil
		}
		f := newFrame(b.kind, b.large, true)
		b.isLarge, b.large = false, nil
		return f, true, nil
	}
	there := b.buf[b.start:b.end]
	if len(there) < frameHead {
		return frame{}, false, nil
	}
	length, k := int64(binary.BigEndian.Uint32(there)), kind(there[4])
	if length > int64(b.limit) {
		return frame{}, false, fmt.Errorf("%w: %d bytes, at most %d are allowed", errFrameTooLong, length, b.limit)
	}
	size := frameHead + int(length)
	if size <= len(there) {
		b.start += size
		return newFrame(k, there[frameHead:size:size], false), true, nil
	}
	if size > len(b.buf) {
		b.kind, b.length, b.isLarge = k, int(length), true
		b.large = append(make([]byte, 0, min(b.length, smallPayload)), there[frameHead:]...)
		b.start, b.end = 0, 0
	}
	return frame{}, false, nil
}

// partial reports whether part of a frame is there.
func (b *frameBuffer) partial() bool { return b.isLarge || b.start < b.end }

// read reads the next frame from r. At an end within a frame its error is io.ErrUnexpectedEOF.
func (b *frameBuffer) read(r io.Reader) (frame, error) {
	for {
		f, ok, err := b.next()
		if ok || err != nil {
			return f, err
		}
		n, err := r.Read(b.Space())
		if b.add(n); n > 0 {
			continue
		}
		if err == io.EOF && b.partial() {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return frame{}, err
		}
	}
}

// encodeFrame makes the bytes of a frame. A nil body leaves the newline out.
func encodeFrame(k kind, header any, body []byte) ([]byte, error) {
	head, err := encodeHead(k, header, body)
	if err != nil {
		return nil, err
	}
	return append(head, body...), nil
}

// encodeNumbers makes a frame whose header has nothing but numbers, which cannot fail.
func encodeNumbers(k kind, header any) []byte {
	encoded, err := encodeFrame(k, header, nil)
	if err != nil {
		panic(err)
	}
	return encoded
}

// encodeHead makes the bytes of a frame up to its body, which has to go out right behind them.
func encodeHead(k kind, header any, body []byte) ([]byte, error) {
	head, err := appendJSON(make([]byte, frameHead, 64), header)
	if err != nil {
		return nil, err
	}
	if body != nil {
		head = append(head, '\n')
	}
	return head, finishHead(head, k, body)
}

// appendJSON appends value as JSON, in which only what has to be escaped is.
func appendJSON(to []byte, value any) ([]byte, error) {
	b := bytes.NewBuffer(to)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// finishHead fills in the first bytes of a head that is complete otherwise.
func finishHead(head []byte, k kind, body []byte) error {
	n := len(head) - frameHead + len(body)
	if n > MaxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", errFrameTooLong, n, MaxFrame)
	}
	binary.BigEndian.PutUint32(head, uint32(n))
	head[4] = byte(k)
	return nil
}

// clip shortens s to at most limit bytes, at the edge of a character.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
