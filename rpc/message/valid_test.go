package message

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestIsJSON(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for document, want := range map[string]bool{
		deep + strings.Repeat("]", 100_000):                                    true,
		strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000):  true,
		strings.Repeat(`[{"a":`, 50_000) + "[]" + strings.Repeat("}]", 50_000): true,
		deep:                                     false,
		deep + strings.Repeat("]", 99_999):       false,
		deep + strings.Repeat("]", 100_001):      false,
		deep + strings.Repeat("]", 99_999) + "}": false,
		strings.Repeat(`{"a":`, 100_000) + strings.Repeat("}", 100_000): false,
	} {
		if got := new(scanner).scan([]byte(document)); got != want {
			t.Errorf("%.20s… of %d bytes: got %v", document, len(document), got)
		}
	}
}

// Documents made at random, then damaged at random, are judged as encoding/json judges them.
func TestIsJSONAgreesWithDecoder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const bytes = "{}[],:\"\\ue+-.0123456789 \n\x00\x1ftrufalsn/b"
	judged := map[bool]int{}
	for range 30_000 {
		document := randomValue(rng, 3)
		for range rng.IntN(3) {
			i := rng.IntN(len(document) + 1)
			b := bytes[rng.IntN(len(bytes))]
			switch rng.IntN(3) {
			case 0:
				document = append(document[:i:i], append([]byte{b}, document[i:]...)...)
			case 1:
				document = document[:i]
			default:
				if i < len(document) {
					document[i] = b
				}
			}
		}
		want := json.Valid(document)
		judged[want]++
		if got := new(scanner).value(document); got != want {
			t.Fatalf("%q: got %v", document, got)
		}
	}
	if judged[true] < 3_000 || judged[false] < 3_000 {
		t.Errorf("judged %v: the documents prove nothing", judged)
	}
}
