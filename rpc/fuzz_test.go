package rpc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

// Both targets have their corpus in testdata/fuzz, which every run of the tests goes through.

func FuzzJSONRPC(f *testing.F) {
	d := &message.JSONRPC{}
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, err := d.Decode(frame)
		if err != nil {
			t.Fatal(err)
		}
		if whole := sameAsStandard(t, frame); !whole {
			if len(in.Requests) != 1 || in.Requests[0].Err.Code != int64(call.ParseError) || in.Responses != nil {
				t.Fatalf("got %+v of what is no JSON", in)
			}
			return
		}
		checkResponses(t, in)
		answered := 0
		b := batchOf(in)
		for _, req := range in.Requests {
			checkRequest(t, req, isJSONRPCID)
			if req.ID == nil {
				continue
			}
			reply := d.EncodeReply(req, responseOfTest(req))
			checkReply(t, req, reply)
			if b == nil {
				continue
			}
			if all, whole := b.add(req, reply, d); all != nil {
				answered++
				if !wellFormed(all) || len(whole) != len(b.requests) {
					t.Fatalf("%d replies in %s", len(whole), all)
				}
			}
		}
		if b != nil && answered != 1 {
			t.Fatalf("a batch was answered %d times", answered)
		}
	})
}

func FuzzDuplex(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, err := new(message.Duplex).Decode(frame)
		whole := sameAsStandard(t, frame)
		if err != nil {
			if in.Requests != nil || in.Responses != nil {
				t.Fatalf("got %+v and %v", in, err)
			}
			return
		}
		if !whole || len(in.Requests)+len(in.Responses) > 1 {
			t.Fatalf("got %+v", in)
		}
		checkResponses(t, in)
		for _, req := range in.Requests {
			checkRequest(t, req, isDuplexID)
			if req.Err != nil {
				t.Fatal("answered what ends the connection")
			}
			if req.ID != nil {
				checkReply(t, req, new(message.Duplex).EncodeReply(req, responseOfTest(req)))
				about := message.Outgoing{Request: req, Execution: "e"}
				checkReply(t, req, new(message.Duplex).EncodeConsole(about, message.Line{Level: "log", Text: string(frame)}))
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
func checkRequest(t *testing.T, req *message.Request, idAllowed func(json.RawMessage) bool) {
	if req.ID != nil && !idAllowed(req.ID) {
		t.Fatalf("id %s", req.ID)
	}
	if req.Err != nil {
		return
	}
	for _, lenient := range []bool{true, false} {
		p, wrong := message.Decode[executeParams](executeShape, req.Params, lenient)
		if wrong != nil || p.check(&peer{}) != nil {
			continue
		}
		if body := p.body(source{}, raw(p.Call), raw(p.Caller), raw(p.Args)); !wellFormed(body) || message.Kind(body) != '{' {
			t.Fatalf("the agent would get %s", body)
		}
	}
}

var executeShape = message.ShapeOf(reflect.TypeFor[executeParams]())

func checkResponses(t *testing.T, in message.Incoming) {
	for _, r := range in.Responses {
		if r.Err == nil && !wellFormed(r.Value) {
			t.Fatalf("got %+v", r)
		}
		if r.Err != nil && r.Err.Data != nil && !wellFormed(r.Err.Data) {
			t.Fatalf("got %+v", r.Err)
		}
	}
}

// checkReply sees that a reply has the id, and in Duplex the ext, exactly as they came.
func checkReply(t *testing.T, req *message.Request, reply []byte) {
	if !wellFormed(reply) {
		t.Fatalf("got %s", reply)
	}
	for name, value := range message.Members(reply) {
		switch {
		case string(name) == "id" && !bytes.Equal(value, req.ID), string(name) == "ext" && !bytes.Equal(value, req.Ext):
			t.Fatalf("%s is %s", name, value)
		}
	}
}

func responseOfTest(req *message.Request) message.Reply {
	if req.Err != nil {
		return message.Reply{Err: req.Err}
	}
	return message.Reply{Result: message.Null}
}

// batchOf is nil where no reply is wanted, and where the frame is no batch.
func batchOf(in message.Incoming) *batch {
	if b := newBatch(in, 32<<20); in.Batch && len(b.requests) > 0 {
		return b
	}
	return nil
}

// wellFormed tells whether data is JSON in UTF-8, of any depth.
func wellFormed(data []byte) bool {
	in, _ := new(message.JSONRPC).Decode(data)
	return len(in.Requests) != 1 || in.Requests[0].Err == nil || in.Requests[0].Err.Code != int64(call.ParseError)
}

func isJSONRPCID(id json.RawMessage) bool {
	k := message.Kind(id)
	return k == '"' || k == '0' || k == 'n'
}

func isDuplexID(id json.RawMessage) bool {
	n, err := strconv.ParseUint(string(id), 10, 64)
	return err == nil && n >= 1
}
