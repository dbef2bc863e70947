package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestReplies(t *testing.T) {
	for _, c := range []struct {
		name, text, value string
		id                uint64
		plain             bool
	}{
		{"of a call", `{"jsonrpc":"2.0","id":17,"result":{"value":2,"console":[],"time":0}}`, "2", 17, true},
		{"whose value looks like its end", `{"jsonrpc":"2.0","id":1,"result":{"value":{"a":"\",\"console\":[],"},"console":[],"time":12}}`,
			`{"a":"\",\"console\":[],"}`, 1, true},
		{"with lines printed", `{"jsonrpc":"2.0","id":1,"result":{"value":2,"console":["x"],"time":0}}`, "2", 1, false},
		{"with more behind", `{"jsonrpc":"2.0","id":1,"result":{"value":2,"console":[],"time":0,"stats":{"container":"c"}}}`, "2", 1, false},
		{"in another order", `{"id":3,"result":{"time":0,"console":[],"value":"x"},"jsonrpc":"2.0"}`, `"x"`, 3, false},
	} {
		if _, plain := parsePlain([]byte(c.text)); plain != c.plain {
			t.Errorf("a reply %s: read by its order: %v", c.name, plain)
		}
		r, err := parseReply([]byte(c.text))
		if err != nil || r.id != c.id || string(r.value) != c.value {
			t.Errorf("a reply %s: id %d, value %s, %v", c.name, r.id, r.value, err)
		}
	}
	r, err := parseReply([]byte(`{"jsonrpc":"2.0","id":5,"error":{"code":1002,"message":"Timeout"}}`))
	if err != nil || r.id != 5 || r.check() == nil || !strings.Contains(r.check().Error(), "1002 Timeout") {
		t.Errorf("an error: %+v, %v", r, err)
	}
	for _, text := range []string{"", "{", `{"jsonrpc":"2.0","id":1,"result":{"value":`} {
		if _, err := parseReply([]byte(text)); err == nil {
			t.Errorf("%q was taken for a reply", text)
		}
	}
}

func TestIntended(t *testing.T) {
	began := time.Unix(1000, 0)
	for n, want := range map[int]time.Duration{0: 0, 1: 5 * time.Millisecond, 1000: 5 * time.Second} {
		if got := intended(began, n, time.Second/steadyRate).Sub(began); got != want {
			t.Errorf("call %d starts %v after the first, want %v", n, got, want)
		}
	}
}

// serveLate answers all calls when the last one of so many has come.
func serveLate(t *testing.T, calls int, value string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		var replies []string
		for range calls {
			_, text, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			id, _, _ := strings.Cut(strings.TrimPrefix(string(text), `{"jsonrpc":"2.0","id":`), ",")
			replies = append(replies, `{"jsonrpc":"2.0","id":`+id+`,"result":{"value":`+value+`,"console":[],"time":0}}`)
		}
		for _, reply := range replies {
			if conn.Write(r.Context(), websocket.MessageText, []byte(reply)) != nil {
				return
			}
		}
		_, _, _ = conn.Read(r.Context())
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// A server that answers nothing until all calls are there makes the first wait for the last: calls at a steady rate
// do not wait for each other, and their times count from when they were meant to start.
func TestSteadyCallsCountFromTheirIntendedStart(t *testing.T) {
	const calls, every = 5, 20 * time.Millisecond
	c, err := dial(t.Context(), serveLate(t, calls, "2"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	took, err := c.steady(t.Context(), plain, warmTenant, calls, every)
	if err != nil {
		t.Fatal(err)
	}
	for n, one := range took {
		if least := time.Duration(calls-1-n) * every; one < least {
			t.Errorf("call %d took %v, at least %v went by", n, one, least)
		}
	}
}

func TestWrongValueIsNoFigure(t *testing.T) {
	c, err := dial(t.Context(), serveLate(t, 1, "3"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.call(t.Context(), plain, warmTenant); err == nil || !strings.Contains(err.Error(), "wrong value, 3") {
		t.Errorf("error %v of a wrong value", err)
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sleepUntil(ctx, time.Now().Add(time.Hour)); err == nil {
		t.Error("slept on")
	}
}

func TestTexts(t *testing.T) {
	for _, text := range texts() {
		if len(text.value) != largeBytes {
			t.Errorf("%s is %d bytes", text.name, len(text.value))
		}
	}
}
