package call

// Code numbers an outcome that is not a value.
type Code int

// Codes of jsd. What a script or its client brought about comes as a *Failure with one of them; the others have an
// error of their own.
const (
	Exception       Code = 1000
	NotImplemented  Code = 1001
	Timeout         Code = 1002
	Cancelled       Code = 1003
	LimitExceeded   Code = 1004
	Lost            Code = 1005
	Busy            Code = 1006
	Forbidden       Code = 1007
	NotSerializable Code = 1008
	NotFound        Code = 1009
)

// Codes of JSON-RPC 2.0, by its specification.
const (
	ParseError     Code = -32700
	InvalidRequest Code = -32600
	MethodNotFound Code = -32601
	InvalidParams  Code = -32602
	InternalError  Code = -32603
)

// A Meaning is a row of the table of codes.
type Meaning struct {
	Code    Code
	Message string   // of the error on the wire; empty: the name of what the script threw. A JSON-RPC code may say more behind it
	When    string   // a phrase that completes "the answer, when …"
	Data    []string // fields that the error's data may have
	Agent   bool     // an agent may answer a call with it
}

// Codes is the one table of codes. What clients get, protocol.md, rpc.discover and the agent's own table come from it or are
// checked against it by tests.
var Codes = []Meaning{
	{Exception, "", "the script threw, rejected, or does not parse", []string{"stack", "console", "message"}, true},
	{NotImplemented, "Not implemented", "the function that call names does not exist", nil, true},
	{Timeout, "Timeout", "wall time or CPU time is spent", []string{"limit", "console"}, true},
	{Cancelled, "Cancelled", "the client cancelled the call", []string{"console"}, true},
	{LimitExceeded, "Limit exceeded", "another limit was met", []string{"limit", "console"}, true},
	{Lost, "Sandbox lost", "the container died under the call", []string{"started"}, true},
	{Busy, "Busy", "the daemon has no room for the call now", []string{"retryAfter"}, false},
	{Forbidden, "Forbidden", "the credential may not run this tenant, or the tenant may not have the option or limit", []string{"what"}, false},
	{NotSerializable, "Not serializable", "the value has no JSON form", []string{"stack", "console"}, true},
	{NotFound, "Not found", "the session, bundle or execution is unknown", nil, true},
	{ParseError, "Parse error", "the frame is not JSON", nil, false},
	{InvalidRequest, "Invalid Request", "the frame is JSON but no request", nil, false},
	{MethodNotFound, "Method not found", "no method has this name", nil, false},
	{InvalidParams, "Invalid params", "the params do not fit the method", nil, false},
	{InternalError, "Internal error", "the daemon failed; its log says why", nil, false},
}

// Message is the text that an error with this code has on the wire. It is empty for Exception, and for a code that is in no
// table.
func (c Code) Message() string { return meaning(c).Message }

// FromAgent tells whether an agent may answer a call with this code.
func (c Code) FromAgent() bool { return meaning(c).Agent }

// IsKnown reports whether the code is in the table.
func (c Code) IsKnown() bool { return meaning(c).Code != 0 }

func meaning(c Code) Meaning {
	for _, m := range Codes {
		if m.Code == c {
			return m
		}
	}
	return Meaning{}
}
