package containers

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jsd-project/jsd/call"
)

// BenchmarkCall is what a plain call costs the link, with an agent that answers at once.
func BenchmarkCall(b *testing.B) {
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		answerAll(theirs)
	}()
	c, err := Open(b.Context(), &pipeProcess{Conn: ours, killed: make(chan struct{})}, testLimits, zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	job := call.Call{Script: []byte(`{"code":"1+1"}`), Timeout: time.Minute, CPU: time.Minute}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Execute(b.Context(), job); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := c.Close(); err != nil {
		b.Error(err)
	}
	<-served
}

// answerAll is an agent that allocates next to nothing, so that the figures are the daemon's.
func answerAll(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	buffer := make([]byte, 0, 1<<10)
	head := make([]byte, frameHead)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		payload := buffer[:int(head[2])<<8|int(head[3])]
		if _, err := io.ReadFull(r, payload); err != nil {
			return
		}
		answer := append(buffer[len(payload):len(payload)], 0, 0, 0, 0, byte(kindResult))
		if kind(head[4]) == kindHello {
			answer = append(answer, goodHello...)
			answer[4] = byte(kindHello)
		} else {
			answer = append(answer, `{"id":`...)
			for _, c := range payload[len(`{"id":`):] {
				if c < '0' || c > '9' {
					break
				}
				answer = append(answer, c)
			}
			answer = append(answer, "}\n2"...)
		}
		answer[3] = byte(len(answer) - frameHead)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
