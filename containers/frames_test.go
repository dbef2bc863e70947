package containers

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jsd-project/jsd/call"
)

// A callHeader is the header of a call, as the agent reads it.
type callHeader struct {
	ID        uint64
	Timeout   int64 // ms
	CPU       int64 // ms
	Bundle    string
	Memory    int // MiB
	Stats     bool
	Open      uint64 // the session it opens
	Session   uint64 // the session it runs in
	Stream    bool
	Callbacks []string
}

// A golden frame, as both sides of the link have to write and read it.
type golden struct {
	Name   string
	To     string // agent or daemon
	Kind   kind
	Header json.RawMessage
	Body   *string
	Hex    string
}

func goldenFrames(t testing.TB) map[string]golden {
	text, err := os.ReadFile("testdata/frames/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []golden
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	frames := make(map[string]golden)
	for _, g := range list {
		frames[g.Name] = g
	}
	return frames
}

func (g golden) bytes(t testing.TB) []byte {
	b, err := hex.DecodeString(g.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenFramesAreRead(t *testing.T) {
	for name, g := range goldenFrames(t) {
		t.Run(name, func(t *testing.T) {
			f, err := newFrameBuffer(MaxFrame).read(iotest.OneByteReader(bytes.NewReader(g.bytes(t))))
			if err != nil {
				t.Fatal(err)
			}
			if g.Kind == kindData {
				number, data, err := cutData(f)
				f.header, f.body = fmt.Appendf(nil, `{"stream":%d}`, number), data
				if err != nil {
					t.Fatal(err)
				}
			}
			var want bytes.Buffer
			if err := json.Compact(&want, g.Header); err != nil {
				t.Fatal(err)
			}
			if f.kind != g.Kind || string(f.header) != want.String() {
				t.Errorf("got kind %d, header %s", f.kind, f.header)
			}
			if (f.body == nil) != (g.Body == nil) || g.Body != nil && string(f.body) != *g.Body {
				t.Errorf("got body %q", f.body)
			}
		})
	}
}

func TestGoldenFramesAreWritten(t *testing.T) {
	frames := goldenFrames(t)
	limits := Limits{
		Concurrency: 8, Workers: 2, Heap: 64, Memory: 256, Result: 8 << 20, ConsoleLines: 1000, ConsoleBytes: 64 << 10,
	}
	check := func(name string, got []byte, err error) {
		t.Helper()
		if want := frames[name].bytes(t); err != nil || !bytes.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s:\ngot  %q, %v\nwant %q", name, got, err, want)
		}
	}
	hello, err := encodeHello(&limits)
	check("hello to agent", hello, err)
	limits.Streams = 32
	hello, err = encodeHello(&limits)
	check("hello to agent with network", hello, err)
	limits.Streams = 0
	limits.Modules = []string{"assert", "fs", "lodash"}
	hello, err = encodeHello(&limits)
	check("hello to agent with modules", hello, err)
	hosting := &callbacks{}
	for name, job := range map[string]struct {
		call    call.Call
		pending pendingCall
	}{
		"call with all fields": {call.Call{Timeout: 3 * time.Second, CPU: 2500 * time.Millisecond, Bundle: &call.Bundle{ID: "a1"}, Memory: 64, Stats: true},
			pendingCall{id: 1}},
		"call of an expression": {call.Call{Timeout: time.Millisecond, CPU: time.Millisecond}, pendingCall{id: 2}},
		"call with code":        {call.Call{Timeout: 3 * time.Second, CPU: 2500 * time.Millisecond}, pendingCall{id: 3}},
		"call with files":       {call.Call{Timeout: 3 * time.Second, CPU: 3 * time.Second, Stats: true}, pendingCall{id: 4}},
		"call that opens a session": {
			call.Call{Timeout: 3 * time.Second, CPU: 3 * time.Second, Bundle: &call.Bundle{ID: "a1"}, Memory: 64, Stream: true, Callbacks: []string{"log"}},
			pendingCall{id: 5, callbacks: hosting, session: &session{id: 1}, opens: true}},
		"call in a session": {call.Call{Timeout: 3 * time.Second, CPU: 3 * time.Second}, pendingCall{id: 6, session: &session{id: 1}}},
		"call with callbacks": {call.Call{Timeout: 3 * time.Second, CPU: 3 * time.Second, Stream: true, Callbacks: []string{"fetchUser", "<é>"}},
			pendingCall{id: 7, callbacks: hosting}},
	} {
		job.pending.job = &job.call
		job.call.Script = []byte(*frames[name].Body)
		head, err := encodeCall(&job.pending)
		check(name, append(head, job.call.Script...), err)
	}
	first, last := frames["bundle, first part, in place of others"], frames["bundle, last part"]
	bundle, err := encodeBundle(&call.Bundle{
		ID: "a1", Parts: []json.RawMessage{[]byte(*first.Body), []byte(*last.Body)},
	}, []*heldBundle{{id: "b2"}, {id: "c3"}})
	if len(bundle) != 4 {
		t.Fatalf("a bundle of two parts came to %d pieces", len(bundle))
	}
	check(first.Name, slices.Concat(bundle[:2]...), err)
	check(last.Name, slices.Concat(bundle[2:]...), err)
	cancel, err := encodeFrame(kindCancel, cancelHeader{ID: 1<<53 - 1}, nil)
	check("cancel", cancel, err)
	check("ping", []byte(pingFrame), nil)
	closing, err := encodeFrame(kindClose, sessionHeader{Session: 1<<53 - 1}, nil)
	check("close", closing, err)
	for i, reply := range []struct {
		name  string
		value string
		err   error
	}{
		{name: "reply", value: *frames["reply"].Body},
		{name: "reply without a value"},
		{name: "reply with an error", err: &call.CallbackError{Message: "no such <user>", Code: -32000, Data: []byte(`{"id":1}`)}},
		{name: "reply with an error without data", err: &call.CallbackError{Message: "no"}},
	} {
		cb := &callback{of: &callbacks{call: 7}, number: uint64(i + 1)}
		o, err := cb.encode([]byte(reply.value), replyErrorOf(reply.err))
		check(reply.name, append(o.head, o.body...), err)
	}
	forged := &callback{of: &callbacks{call: 7, names: []string{"g"}}, number: 5, name: "f"}
	o, err := forged.encode(nil, &replyError{Message: forged.refusal(false)})
	check("reply of a daemon that refuses", append(o.head, o.body...), err)
}

func TestGoldenFramesOfCallsUnderWay(t *testing.T) {
	frames := goldenFrames(t)
	for name, want := range map[string]any{
		"print":                                &printHeader{ID: 7, Level: "warn"},
		"print of an empty line":               &printHeader{ID: 7, Level: "log"},
		"callback":                             &callbackHeader{ID: 7, Callback: 1, Name: "fetchUser"},
		"callback of a name that needs quotes": &callbackHeader{ID: 7, Callback: 2, Name: "<é>"},
		"ended":                                &sessionHeader{Session: 1},
		"pong":                                 &struct{}{},
	} {
		f, err := newFrameBuffer(MaxFrame).read(bytes.NewReader(frames[name].bytes(t)))
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface()
		if err := f.decode(&testLimits, got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestGoldenOutcomes(t *testing.T) {
	frames := goldenFrames(t)
	want := map[string]outcome{
		"result":                 {result: call.Result{Value: []byte(`{"a":[1,null,"\n"]}`), Console: []string{"a\nb", "ü"}, Time: 3}},
		"result with stats":      {result: call.Result{Value: []byte("1"), Console: []string{}, Time: 3, CPU: 1625 * time.Microsecond}},
		"result without console": {result: call.Result{Value: []byte("null"), Console: []string{}}},
		"exception": {err: &call.Failure{Code: call.Exception, Name: "TypeError", Message: "x",
			Stack: "TypeError: x\n    at f (script:1:7)", Console: []string{"a"}}},
		"timeout":     {err: &call.Failure{Code: call.Timeout, Limit: "wall", Console: []string{}}},
		"worker lost": {err: &call.LostError{Started: true, Cause: errWorkerDied}},

		"call in a session that has ended": {err: call.ErrNoSession},
	}
	for name, want := range want {
		f, err := newFrameBuffer(MaxFrame).read(bytes.NewReader(frames[name].bytes(t)))
		if err != nil {
			t.Fatal(err)
		}
		h, err := decodeAnswer(&f, &testLimits)
		if err != nil {
			t.Fatal(err)
		}
		if got := outcomeOf(&f, &h, &testLimits); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestReadFrame(t *testing.T) {
	tests := []struct {
		name, bytes string
		err         error
	}{
		{"nothing", "", io.EOF},
		{"part of a head", "\x00\x00\x00\x01", io.ErrUnexpectedEOF},
		{"head alone", "\x00\x00\x00\x01\x04", io.ErrUnexpectedEOF},
		{"part of a payload", "\x00\x00\x00\x03\x04ab", io.ErrUnexpectedEOF},
		{"part of a large payload", "\x00\x02\x00\x00\x04ab", io.ErrUnexpectedEOF},
		{"empty payload", "\x00\x00\x00\x00\x04", nil},
		{"as long as allowed", "\x00\x04\x00\x00\x04" + strings.Repeat("x", 1<<18), nil},
		{"one byte longer", "\x00\x04\x00\x01\x04" + strings.Repeat("x", 1<<18+1), errFrameTooLong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := newFrameBuffer(1 << 18).read(strings.NewReader(test.bytes))
			if !errors.Is(err, test.err) || test.err == nil && len(f.header) != len(test.bytes)-frameHead {
				t.Errorf("got %d bytes, %v", len(f.header), err)
			}
		})
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, g := range goldenFrames(f) {
		f.Add(g.bytes(f))
	}
	f.Add([]byte("\xff\xff\xff\xff\x04"))
	f.Add([]byte("\x00\x00\x00\x03\x04\n\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 1 << 12
		frames, rest := newFrameBuffer(limit), bytes.NewReader(stream)
		for taken := 0; ; {
			fr, err := frames.read(iotest.HalfReader(rest))
			if err != nil {
				return
			}
			// What was cut apart has to be what was there.
			whole := fr.header
			if fr.body != nil {
				whole = append(append(bytes.Clone(fr.header), '\n'), fr.body...)
			}
			there := stream[taken:][:frameHead+len(whole)]
			taken += len(there)
			length := int(binary.BigEndian.Uint32(there))
			if len(whole) > limit || len(whole) != length || !bytes.Equal(whole, there[frameHead:]) ||
				fr.kind != kind(there[4]) || fr.kind != kindData && bytes.IndexByte(fr.header, '\n') >= 0 {
				t.Fatalf("%q was cut into header %q and body %q", there, fr.header, fr.body)
			}
			if h, err := decodeAnswer(&fr, &testLimits); err == nil {
				o := outcomeOf(&fr, &h, &testLimits)
				if o.err == nil && !json.Valid(o.result.Value) {
					t.Fatalf("took %q for a value", o.result.Value)
				}
			}
		}
	})
}
