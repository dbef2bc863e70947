package credentials

import (
	"net/http"
	"strings"
)

// subprotocolPrefix marks the subprotocol that holds a token. A page in a browser cannot set other headers of a
// WebSocket.
const subprotocolPrefix = "bearer."

// tokenOf returns the token of a request, or nil if there is none. Several tokens are an error, because it is not clear
// which one counts. An Authorization header of another scheme is ignored: it is for somebody else, such as a proxy.
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
