package credentials

import (
	"net/http"
	"strings"
)

// subprotocolPrefix is before a token among the subprotocols, the one thing that a browser can send with a WebSocket.
const subprotocolPrefix = "bearer."

// tokenOf is the token of a request; nil: it has none. Which of two is meant cannot be known, so there is an
// error. Authorization of another kind is somebody else's, such as a proxy's.
func tokenOf(r *http.Request) (*string, error) {
	headers := r.Header.Values("Authorization")
	var tokens []string
	for _, value := range headers {
		value = strings.Trim(value, " \t")
		scheme, _, _ := strings.Cut(strings.ReplaceAll(value, "\t", " "), " ")
		if strings.EqualFold(scheme, "Bearer") {
			tokens = append(tokens, strings.Trim(value[len(scheme):], " \t"))
		}
	}
	if len(tokens) > 0 && len(headers) > 1 {
		return nil, refused("there are several Authorization headers")
	}
	for _, value := range r.Header.Values("Sec-WebSocket-Protocol") {
		for protocol := range strings.SplitSeq(value, ",") {
			if token, ok := strings.CutPrefix(strings.Trim(protocol, " \t"), subprotocolPrefix); ok {
				tokens = append(tokens, token)
			}
		}
	}
	switch len(tokens) {
	case 0:
		return nil, nil
	case 1:
		return &tokens[0], nil
	default:
		return nil, refused("there are several tokens")
	}
}
