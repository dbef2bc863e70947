package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A reply is a server's reply to a request.
type reply struct {
	id      uint64
	at      time.Time // when all of it had arrived
	value   []byte
	right   bool // whether the value is the expected one
	bundle  string
	session string
	inside  string // the container that the call ran in
	failed  error
}

var (
	replyHead = []byte(`{"jsonrpc":"2.0","id":`)
	valueHead = []byte(`,"result":{"value":`)
	valueTail = []byte(`,"console":[],"time":`)
)

// parseReply reads a reply. For the plain form that jsd and the baseline send for a call, it relies on the order of
// the members, because that is faster, and the client shares the processors with the servers. It reads any other form
// as JSON.
func parseReply(text []byte) (reply, error) {
	if r, plain := parsePlain(text); plain {
		return r, nil
	}
	var whole struct {
		ID     uint64 `json:"id"`
		Result struct {
			Value   json.RawMessage `json:"value"`
			Bundle  string          `json:"bundle"`
			Session string          `json:"session"`
			Stats   struct {
				Container string `json:"container"`
			} `json:"stats"`
		} `json:"result"`
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return reply{}, fmt.Errorf("a reply: %w", err)
	}
	r := reply{id: whole.ID, value: whole.Result.Value, bundle: whole.Result.Bundle,
		session: whole.Result.Session, inside: whole.Result.Stats.Container}
	if whole.Error != nil {
		r.failed = fmt.Errorf("%d %s", whole.Error.Code, whole.Error.Message)
	}
	return r, nil
}

func parsePlain(text []byte) (r reply, plain bool) {
	text, headed := bytes.CutPrefix(text, replyHead)
	if !headed {
		return r, false
	}
	value := bytes.Index(text[:min(len(text), 64)], valueHead)
	tail := bytes.LastIndex(text, valueTail)
	if value < 0 || tail < value+len(valueHead) {
		return r, false
	}
	rest, ended := bytes.CutSuffix(text[tail+len(valueTail):], []byte("}}"))
	id, err := strconv.ParseUint(string(text[:value]), 10, 64)
	if _, notTime := strconv.Atoi(string(rest)); err != nil || notTime != nil || !ended {
		return r, false
	}
	return reply{id: id, value: text[value+len(valueHead) : tail]}, true
}

// expect compares the value with the expected one. It keeps only the beginning of the value, because the buffer is
// used again.
func (r *reply) expect(want []byte) {
	r.right = bytes.Equal(r.value, want)
	r.value = bytes.Clone(r.value[:min(len(r.value), 100)])
}

// check returns an error for a wrong reply, because a daemon that replies fast and wrong must not get into the table.
func (r *reply) check() error {
	if r.failed != nil {
		return fmt.Errorf("failed: %w", r.failed)
	}
	if !r.right {
		return fmt.Errorf("came to the wrong value, %s", r.value)
	}
	return nil
}
