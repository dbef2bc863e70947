package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/jsd-project/jsd/call"
)

// maxReply bounds what is taken from a daemon, whose own limit for a value may be as large as a frame.
const maxReply = 256 << 20 // bytes

// A caller posts requests to one daemon.
type caller struct {
	endpoint      string
	secret, token string // empty: none is sent
	client        *http.Client
}

// newCaller takes another way to the daemon where dial is not nil.
func newCaller(endpoint, secret, token string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *caller {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: dial}
	if dial == nil {
		transport.Proxy = http.ProxyFromEnvironment
	}
	return &caller{endpoint, secret, token, &http.Client{Transport: transport, CheckRedirect: noRedirect}}
}

// noRedirect keeps secret and token with the daemon that it was meant for.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// execute gives the reply, whether a value or an error. Its own errors are *statusError.
func (c *caller) execute(ctx context.Context, params *execParams) (*answer, error) {
	return c.call(ctx, "runtime.execute", params)
}

func (c *caller) call(ctx context.Context, method string, params any) (*answer, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // which only makes sources larger
	err := encoder.Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, &statusError{statusUsage, err}
	}
	r, err := c.post(ctx, &body)
	if err != nil {
		return nil, &statusError{statusJSD, err}
	}
	return r, nil
}

func (c *caller) post(ctx context.Context, body io.Reader) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.secret != "" {
		request.Header.Set("x-runtime-secret", c.secret)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.client.Do(request)
	if err != nil {
		var failed *url.Error // whose text repeats the URL
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("no daemon at %s: %w", request.URL.Host, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("the daemon at %s broke off: %w", request.URL.Host, err)
	}
	if response.StatusCode != http.StatusOK {
		why, _, _ := strings.Cut(strings.TrimSpace(string(content)), "\n")
		return nil, fmt.Errorf("the daemon at %s says %s: %.200s", request.URL.Host, response.Status, why)
	}
	var r answer
	if err := json.Unmarshal(content, &r); err != nil || r.Result == nil && r.Error == nil {
		return nil, fmt.Errorf("what answers at %s is no jsd: %.60q", request.URL.Host, content)
	}
	return &r, nil
}

// An answer is a response of JSON-RPC: Result or Error.
type answer struct {
	Result json.RawMessage `json:"result"`
	Error  *answerError    `json:"error"`
}

type answerError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

// print says all there is to say, and gives nil or a *statusError.
func (r *answer) print(s streams, raw bool) error {
	if r.Error != nil {
		return r.Error.print(s.err)
	}
	var result struct {
		Value   json.RawMessage
		Console []string
	}
	if err := json.Unmarshal(r.Result, &result); err != nil {
		return &statusError{statusJSD, fmt.Errorf("read the result: %w", err)}
	}
	printLines(s.err, result.Console)
	value := cmp.Or(string(result.Value), "null")
	if raw && value[0] == '"' {
		if err := json.Unmarshal(result.Value, &value); err != nil {
			return &statusError{statusJSD, fmt.Errorf("read the value: %w", err)}
		}
	}
	if _, err := fmt.Fprintln(s.out, value); err != nil {
		return &statusError{statusJSD, err}
	}
	return nil
}

// failed is the data of errors, see protocol.md.
type failed struct {
	What       string
	Limit      string
	RetryAfter *int64
	Started    *bool
	Message    string
	Stack      string
	Console    []string
}

func (e *answerError) print(w io.Writer) error {
	var data failed
	_ = json.Unmarshal(e.Data, &data) // what cannot be read is not printed
	printLines(w, data.Console)
	status := statusOf(e.Code)
	if status != statusScript {
		return &statusError{status, errors.New(e.Message + data.aside())}
	}
	said := e.Message
	if call.Code(e.Code) == call.NotImplemented {
		said += ": the script has no function that --call names"
	}
	if data.Message != "" {
		said += ": " + data.Message
	}
	if !strings.Contains(data.Stack, said) {
		fmt.Fprintln(w, said)
	}
	if data.Stack != "" {
		fmt.Fprintln(w, strings.TrimSuffix(data.Stack, "\n"))
	}
	return &statusError{status, nil}
}

// aside is what an error says beside its message.
func (f failed) aside() string {
	switch {
	case f.Limit != "":
		return " (" + f.Limit + ")"
	case f.What != "":
		return " (" + f.What + ")"
	case f.RetryAfter != nil:
		return fmt.Sprintf(" (try again in %d ms)", *f.RetryAfter)
	case f.Started != nil && !*f.Started:
		return " (the script was not started)"
	}
	return ""
}

// statusOf is the exit status that stands for an error's code.
func statusOf(code int) int {
	switch code {
	case 1000, 1001, 1008:
		return statusScript
	case -32602:
		return statusUsage
	case 1002, 1003, 1004:
		return statusLimit
	default:
		return statusJSD
	}
}

func printLines(w io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}
