package rpc

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/coder/websocket"

	"github.com/jsd-project/jsd/rpc/message"
)

// A loop is a wire without a network: it gives the same frame again and again, each when the one
// before was answered.
type loop struct {
	frame   []byte
	left    int
	replied chan struct{}
}

func (l *loop) Read() ([]byte, error) {
	<-l.replied
	if l.left--; l.left < 0 {
		return nil, io.EOF
	}
	return l.frame, nil
}

func (l *loop) Write([]byte)                     { l.replied <- struct{}{} }
func (l *loop) End(websocket.StatusCode, string) {}

// BenchmarkCall is what a call costs here, without network and script.
func BenchmarkCall(b *testing.B) {
	r := newRunner()
	for name, frame := range map[string]string{
		"small":   request1(`1`, "1"),
		"typical": `{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":{"code":"1","globals":` + string(message.AppendJSON(nil, make([]int, 500))) + `}}`,
	} {
		b.Run(name, func(b *testing.B) {
			s := New(Config{Runner: r})
			c := newConnection(b.Context(), s.service, s.methods, Identity{})
			wire := &loop{frame: []byte(frame), left: b.N, replied: make(chan struct{}, 1)}
			wire.replied <- struct{}{}
			c.peer.wire = wire
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			s.serve(c, func() {})
		})
	}
}

// BenchmarkRoundTrip adds a WebSocket on loopback and its client.
func BenchmarkRoundTrip(b *testing.B) {
	r := start(b)
	p := r.dial()
	b.ReportAllocs()
	for b.Loop() {
		p.send(request1(`1`, "1"))
		if !json.Valid([]byte(p.receive())) {
			b.Fatal("no reply")
		}
	}
}
