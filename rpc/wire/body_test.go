package wire

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/iotest"
	"time"

	"github.com/coder/websocket"
)

// A shutdown that came before the first byte was answered with 408, as if the client had been slow.
func TestABodyThatEndsBeforeItIsReadIsNotLate(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/rpc", iotest.ErrReader(os.ErrDeadlineExceeded))
	b := NewBody(w, r, &Config{MaxFrame: 100, PingInterval: time.Minute, Budget: NewBudget(1000)}, func() {})
	defer b.Release()
	b.End(websocket.StatusGoingAway, "shutting down")
	if _, err := b.Read(); err == nil {
		t.Fatal("the body was read")
	}
	b.Respond()
	if w.Code != http.StatusBadRequest {
		t.Errorf("got %d", w.Code)
	}
}
