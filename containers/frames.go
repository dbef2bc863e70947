package containers

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// Version of the link. Both sides name it in their hello, and end the link where it differs.
	Version = 5

	// MaxFrame bounds the payload of a frame to the agent, in bytes: the largest frame of a client
	// by default, and room for what encoding adds to it.
	MaxFrame = 17 << 20

	// HeaderRoom bounds what a frame to the daemon may hold beside its body and console, in bytes.
	HeaderRoom = 1 << 20

	frameHead    = 5        // length and kind
	smallPayload = 64 << 10 // bytes taken at once for a payload that is only announced
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

var errFrameTooLong = errors.New("frame too long")

// A frame is one message of the link, cut in its parts.
type frame struct {
	kind   kind
	header []byte // of a frame of data: all of it
	body   []byte // nil without a newline behind the header
}

// readFrame reads one frame. A payload longer than limit bytes is refused before it is read; one
// that is merely announced takes memory only as it arrives.
func readFrame(r io.Reader, limit int) (frame, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	length := int64(binary.BigEndian.Uint32(head[:4]))
	if length > int64(limit) {
		return frame{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", errFrameTooLong, length, limit)
	}
	payload, err := readPayload(r, int(length))
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	f := frame{kind: kind(head[4]), header: payload}
	if i := bytes.IndexByte(f.header, '\n'); i >= 0 && f.kind != kindData {
		f.header, f.body = f.header[:i:i], f.header[i+1:]
	}
	return f, nil
}

func readPayload(r io.Reader, length int) ([]byte, error) {
	if length <= smallPayload {
		payload := make([]byte, length)
		_, err := io.ReadFull(r, payload)
		return payload, err
	}
	var payload bytes.Buffer
	_, err := io.CopyN(&payload, r, int64(length))
	return payload.Bytes(), err
}

// encodeFrame makes the bytes of a frame. A nil body leaves the newline out.
func encodeFrame(k kind, header any, body []byte) ([]byte, error) {
	head, err := encodeHead(k, header, body)
	if err != nil {
		return nil, err
	}
	return append(head, body...), nil
}

// encodeHead makes the bytes of a frame up to its body, which has to go out right behind them.
func encodeHead(k kind, header any, body []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, frameHead))
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(header); err != nil {
		return nil, err
	}
	if body == nil {
		b.Truncate(b.Len() - 1) // Encode ends with the newline that parts header and body
	}
	head := b.Bytes()
	n := len(head) - frameHead + len(body)
	if n > MaxFrame {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", errFrameTooLong, n, MaxFrame)
	}
	binary.BigEndian.PutUint32(head, uint32(n))
	head[4] = byte(k)
	return head, nil
}
