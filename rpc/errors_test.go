package rpc

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jsd-project/jsd/call"
	"github.com/jsd-project/jsd/rpc/message"
)

func TestWireError(t *testing.T) {
	failure := func(code call.Code) error {
		return &call.Failure{Code: code, Name: "N", Message: "M", Stack: "S", Limit: "L", Console: []string{"C"}}
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{failure(1000), `{"code":1000,"message":"N","data":{"message":"M","stack":"S","console":["C"]}}`},
		{failure(1001), `{"code":1001,"message":"Not implemented"}`},
		{failure(1002), `{"code":1002,"message":"Timeout","data":{"limit":"L","console":["C"]}}`},
		{failure(1003), `{"code":1003,"message":"Cancelled","data":{"console":["C"]}}`},
		{failure(1004), `{"code":1004,"message":"Limit exceeded","data":{"limit":"L","console":["C"]}}`},
		{failure(1008), `{"code":1008,"message":"Not serializable","data":{"stack":"S","console":["C"]}}`},
		{failure(7), `{"code":-32603,"message":"Internal error"}`},
		{fmt.Errorf("run: %w", failure(1001)), `{"code":1001,"message":"Not implemented"}`},
		{&call.Failure{Code: 1000, Name: "", Console: []string{}}, `{"code":1000,"message":""}`},
		{&call.Failure{Code: 1003}, `{"code":1003,"message":"Cancelled"}`},
		{&call.LostError{}, `{"code":1005,"message":"Sandbox lost","data":{"started":false}}`},
		{&call.LostError{Started: true, Cause: errSecretPlace}, `{"code":1005,"message":"Sandbox lost","data":{"started":true}}`},
		{fmt.Errorf("run: %w", busyError(time.Microsecond)), `{"code":1006,"message":"Busy","data":{"retryAfter":1}}`},
		{busyError(0), `{"code":1006,"message":"Busy","data":{"retryAfter":0}}`},
		{forbidden("timeout"), `{"code":1007,"message":"Forbidden","data":{"what":"timeout"}}`},
		{errSecretPlace, `{"code":-32603,"message":"Internal error"}`},
		{context.DeadlineExceeded, `{"code":-32603,"message":"Internal error"}`},
		{context.Canceled, `{"code":-32603,"message":"Internal error"}`},
	} {
		if got := string(message.AppendJSON(nil, wireError(test.err))); got != test.want {
			t.Errorf("%v:\ngot  %s\nwant %s", test.err, got, test.want)
		}
	}
}
