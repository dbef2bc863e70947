package rpc

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

func TestRedact(t *testing.T) {
	const key = "-----BEGIN KEY-----\nMIIEvQ==\nab\n-----END KEY-----\n"
	for _, test := range []struct{ secrets, text, want string }{
		{`{}`, "nothing", "nothing"},
		{`{"k":"secret"}`, "", ""},
		{`{"k":"secret"}`, "secret", "***"},
		{`{"k":"secret"}`, "a secret, and a Secret: secretsecret!", "a ***, and a Secret: ******!"},
		{`{"k":"short"}`, "short", "short"},
		{`{"k":"ééééé","l":"éééééé"}`, "ééééé éééééé", "ééééé ***"},
		{`{"k":"😀😀😀"}`, "😀😀😀", "***"},
		{`{"secret":"valuable"}`, "secret valuable", "secret ***"},
		{`{"k":123456,"l":true,"m":null}`, "123456 true null", "123456 true null"},
		{`{"a":{"b":["x",{"c":"nested1"}]},"d":["nested2"]}`, "nested1 nested2", "*** ***"},
		{`{"k":"\u0073\u0065cret"}`, `secret \u0073`, `*** \u0073`},
		{`{"k":"first1","k":"second"}`, "first1 second", "*** ***"},

		// overlapping, in one another, in themselves
		{`{"a":"abcdef","b":"defghi"}`, "abcdefghi abcdef", "*** ***"},
		{`{"a":"abcdef","b":"xxabcdefxx"}`, "xxabcdefxx xabcdefx", "*** x***x"},
		{`{"a":"abcdefgh","b":"cdefgh","c":"efghijkl"}`, "_abcdefghijkl_", "_***_"},
		{`{"a":"aaaaaa"}`, "aaaaaaaaa aaaaa", "*** aaaaa"},
		{`{"a":"abaaba"}`, "abaabaaba", "***"},
		{`{"a":"abcabcabd"}`, "abcabcabcabd", "abc***"},

		// escaped
		{`{"k":"a\"b\\c\nd\u0001e/"}`, `{"k":"a\"b\\c\nd\u0001e/"}`, `{"k":"***"}`},
		{`{"k":"a\"b\\c\nd\u0001e"}`, `{ k: 'a"b\\c\nd\x01e' }`, `{ k: '***' }`},
		{`{"k":"a\u001b[31m\u0085"}`, `[ 'a\x1B[31m\x85' ]`, `[ '***' ]`},
		{`{"k":"a<b>&é\u2028"}`, "<a<b>&é\u2028>", "<***>"},
		{`{"k":"tab\tfeed\f"}`, `"tab\tfeed\f" tab feed`, `"***" tab feed`},

		// of several lines
		{string(message.AppendJSON(nil, map[string]string{"k": key})), "key " + key + ".", "key ***."},
		{string(message.AppendJSON(nil, map[string]string{"k": key})),
			"{\n  k: '-----BEGIN KEY-----\\n' +\n    'MIIEvQ==\\n' +\n    'ab\\n' +\n    '-----END KEY-----\\n'\n}",
			"{\n  k: '***\\n' +\n    '***\\n' +\n    'ab\\n' +\n    '***\\n'\n}"},
	} {
		var s message.Secrets
		if !s.Take(json.RawMessage(test.secrets)) {
			t.Fatal(test.secrets)
		}
		if got := newRedactor(s.Strings()).text(test.text); got != test.want {
			t.Errorf("%s\nin   %s\ngot  %s\nwant %s", test.secrets, test.text, got, test.want)
		}
	}
}

// What a client can choose to be found with most work, many times over.
func TestRedactingIsLinear(t *testing.T) {
	text := strings.Repeat("a", 1<<20)
	began := time.Now()
	if got := newRedactor([]string{strings.Repeat("a", 1<<19)}).text(text); got != redacted {
		t.Errorf("got %d bytes", len(got))
	}
	if took := time.Since(began); took > 10*time.Second { // tens of ms; with the product of both, minutes
		t.Errorf("took %v", took)
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	const told = "it is s3cr3t!"
	failing := func(code call.Code) does {
		return func(ctx, string, call.Call) (result, error) {
			return result{}, &call.Failure{Code: code, Name: told, Message: told, Stack: "Error: " + told, Limit: "cpu", Console: []string{told, "x"}}
		}
	}
	eachDialect(t, func(r *rig, a asker) {
		r.runner.scripts["prints"] = func(ctx, string, call.Call) (result, error) {
			return result{Value: json.RawMessage(`"it is s3cr3t!"`), Console: []string{"a", told, `{"k":"s3cr3t!"}`}}, nil
		}
		r.runner.scripts["throws"] = failing(call.Exception)
		r.runner.scripts["spins"] = failing(call.Timeout)
		r.runner.scripts["circles"] = failing(call.NotSerializable)
		r.runner.scripts["breaks"] = failing(7)
		r.runner.scripts["dies"] = func(ctx, string, call.Call) (result, error) {
			return result{}, &call.LostError{Started: true, Cause: errors.New("its last words: " + told)}
		}
		for code, want := range map[string]string{
			"prints":  `{"value":"it is s3cr3t!","console":["a","it is ***","{\"k\":\"***\"}"],"time":0}`,
			"throws":  `{"code":1000,"message":"it is ***","data":{"message":"it is ***","stack":"Error: it is ***","console":["it is ***","x"]}}`,
			"spins":   `{"code":1002,"message":"Timeout","data":{"limit":"cpu","console":["it is ***","x"]}}`,
			"circles": `{"code":1008,"message":"Not serializable","data":{"stack":"Error: it is ***","console":["it is ***","x"]}}`,
			"breaks":  `{"code":-32603,"message":"Internal error"}`,
			"dies":    `{"code":1005,"message":"Sandbox lost","data":{"started":true}}`,
			"wait":    `{"code":1003,"message":"Cancelled"}`,
			"busy":    `{"code":1006,"message":"Busy","data":{"retryAfter":2}}`,
		} {
			params := `{"code":"` + code + `","secrets":{"deep":[{"k":"s3cr3t!"}]}}`
			if code != "wait" {
				a.expectOutcome(execute, params, want)
				continue
			}
			if a.duplex {
				continue // cancelled elsewhere, alike
			}
			a.send(`{"jsonrpc":"2.0","id":1,"method":"runtime.execute","params":`+params+`}`,
				`{"jsonrpc":"2.0","method":"runtime.cancel","params":{"id":1}}`)
			if got := a.outcome(); got != want {
				t.Errorf("got %s", got)
			}
		}
		a.expectOutcome(execute, `{"code":"prints","secrets":{"k":"other!"}}`,
			`{"value":"it is s3cr3t!","console":["a","it is s3cr3t!","{\"k\":\"s3cr3t!\"}"],"time":0}`)
		r.eventually("the log has the error", func() bool { // it is written after the reply
			return strings.Contains(r.log.String(), "its last words: it is ***")
		})
		if log := r.log.String(); strings.Contains(log, "s3cr3t") {
			t.Errorf("the log: %s", log)
		}
	})
}

// A failure that a Runner keeps is not changed under it.
func TestRedactingLeavesTheFailureAlone(t *testing.T) {
	kept := &call.Failure{Code: 1000, Name: "secret", Console: []string{"secret"}}
	err := newRedactor([]string{"secret"}).err(kept)
	var got *call.Failure
	if !errors.As(err, &got) || got.Name != redacted || got.Console[0] != redacted {
		t.Errorf("got %+v", got)
	}
	if kept.Name != "secret" || kept.Console[0] != "secret" {
		t.Errorf("changed: %+v", kept)
	}
}
