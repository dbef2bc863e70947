package rpc

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// Both targets have their corpus in testdata/fuzz, which every run of the tests goes through.

func FuzzJSONRPC(f *testing.F) {
	d := newJSONRPC(&Config{MaxUnsent: 64 << 20})
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, err := d.decode(frame)
		if err != nil {
			t.Fatal(err)
		}
		if whole := sameAsStandard(t, frame); !whole {
			if len(in.requests) != 1 || in.requests[0].err != error(errParse) || in.responses != nil {
				t.Fatalf("got %+v of what is no JSON", in)
			}
			return
		}
		checkResponses(t, in)
		answered := 0
		for _, req := range in.requests {
			checkRequest(t, req, isID)
			if req.id == nil {
				continue
			}
			reply := d.encode(req, responseOfTest(req))
			checkReply(t, req, reply)
			if req.batch == nil {
				continue
			}
			if all, whole := req.batch.add(req, reply); all != nil {
				answered++
				if !wellFormed(all) || len(whole) != len(req.batch.requests) {
					t.Fatalf("%d replies in %s", len(whole), all)
				}
			}
		}
		if b := batchOf(in); b != nil && answered != 1 {
			t.Fatalf("a batch was answered %d times", answered)
		}
	})
}

func FuzzDuplex(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, err := duplex{}.decode(frame)
		whole := sameAsStandard(t, frame)
		if err != nil {
			if in.requests != nil || in.responses != nil {
				t.Fatalf("got %+v and %v", in, err)
			}
			return
		}
		if !whole || len(in.requests)+len(in.responses) > 1 {
			t.Fatalf("got %+v", in)
		}
		checkResponses(t, in)
		for _, req := range in.requests {
			checkRequest(t, req, isDuplexID)
			if req.err != nil {
				t.Fatal("answered what ends the connection")
			}
			if req.id != nil {
				checkReply(t, req, duplex{}.encode(req, responseOfTest(req)))
				h := &host{req: req, execution: "e"}
				checkReply(t, req, duplex{}.print(h, "log", string(frame)))
			}
		}
	})
}

// sameAsStandard tells whether a frame is JSON in UTF-8, and that encoding/json thinks so, too, of
// what it would not find too deep.
func sameAsStandard(t *testing.T, frame []byte) bool {
	whole := wellFormed(frame)
	if bytes.Count(frame, []byte("["))+bytes.Count(frame, []byte("{")) < 1000 && whole != (json.Valid(frame) && utf8.Valid(frame)) {
		t.Fatalf("wellFormed says %v", whole)
	}
	return whole
}

// checkRequest looks at what the methods rely on.
func checkRequest(t *testing.T, req *request, idAllowed func(json.RawMessage) bool) {
	if req.id != nil && !idAllowed(req.id) {
		t.Fatalf("id %s", req.id)
	}
	if req.err != nil {
		return
	}
	if kind(req.method) != '"' {
		t.Fatalf("method %s", req.method)
	}
	if req.params == nil {
		return
	}
	for _, lenient := range []bool{true, false} {
		p, err := decodeParams[executeParams](executeShape, req.params, lenient)
		if err != nil || p.check(&client{}) != nil {
			continue
		}
		if body := p.body(raw(p.Call), raw(p.Caller), raw(p.Args)); !wellFormed(body) || kind(body) != '{' {
			t.Fatalf("the agent would get %s", body)
		}
	}
}

var executeShape = newMethod[Result]("", "", (&Server{}).execute).params

func checkResponses(t *testing.T, in incoming) {
	for _, r := range in.responses {
		if r.err == nil && !wellFormed(r.value) {
			t.Fatalf("got %+v", r)
		}
		if r.err != nil && r.err.Data != nil && !wellFormed(r.err.Data) {
			t.Fatalf("got %+v", r.err)
		}
	}
}

// checkReply sees that a reply has the id, and in Duplex the ext, exactly as they came.
func checkReply(t *testing.T, req *request, reply []byte) {
	if !wellFormed(reply) {
		t.Fatalf("got %s", reply)
	}
	for name, value := range members(reply) {
		switch {
		case string(name) == "id" && !bytes.Equal(value, req.id), string(name) == "ext" && !bytes.Equal(value, req.ext):
			t.Fatalf("%s is %s", name, value)
		}
	}
}

func responseOfTest(req *request) reply {
	if req.err != nil {
		return responseTo(req)
	}
	return reply{result: null}
}

func batchOf(in incoming) *batch {
	for _, req := range in.requests {
		if req.batch != nil {
			return req.batch
		}
	}
	return nil
}
