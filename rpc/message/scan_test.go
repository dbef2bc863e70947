package message

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// Documents made at random are walked as encoding/json decodes them.
func TestWalkAgreesWithDecoder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		object := append(append([]byte(" "), randomObject(rng, 4)...), '\n')
		if !new(scanner).scan(object) {
			t.Fatalf("the generator is wrong: %s", object)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(object, &want); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		for name, value := range Members(object) {
			got[string(name)] = value
		}
		if len(got) != len(want) {
			t.Fatalf("%d members, want %d in %s", len(got), len(want), object)
		}
		for name := range want {
			if !bytes.Equal(got[name], want[name]) {
				t.Fatalf("%q: got %s, want %s", name, got[name], want[name])
			}
		}
		compareElements(t, append(append([]byte("[ "), object...), ` , 1 ,"]" , [] ]`...))
	}
}

func compareElements(t *testing.T, array []byte) {
	t.Helper()
	var want []json.RawMessage
	if err := json.Unmarshal(array, &want); err != nil {
		t.Fatal(err)
	}
	i := 0
	for got := range Elements(array) {
		if i == len(want) || !bytes.Equal(got, want[i]) {
			t.Fatalf("element %d of %s: got %s", i, array, got)
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("%d elements of %s, want %d", i, array, len(want))
	}
}

func randomObject(rng *rand.Rand, depth int) []byte {
	b := []byte("{")
	for i := range rng.IntN(4) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, spaces(rng)...), randomString(rng)...)
		b = append(append(b, spaces(rng)...), ':')
		b = append(append(b, spaces(rng)...), randomValue(rng, depth-1)...)
		b = append(b, spaces(rng)...)
	}
	return append(b, '}')
}

func randomValue(rng *rand.Rand, depth int) []byte {
	switch n := rng.IntN(8); {
	case n < 2 && depth > 0:
		return randomObject(rng, depth)
	case n < 4 && depth > 0:
		return append(append(append([]byte("["), randomValue(rng, depth-1)...), ", "...), append(randomString(rng), ']')...)
	case n < 6:
		return randomString(rng)
	default:
		scalars := []string{"0", "-1.5e-7", "true", "false", "null", "[]", "{}", "123456789012345678901234567890"}
		return []byte(scalars[rng.IntN(len(scalars))])
	}
}

func randomString(rng *rand.Rand) []byte {
	parts := []string{`a`, `\\`, `\"`, `{`, `}`, `[`, `]`, `,`, `:`, `\u0022`, `\ud83d\ude00`, `é`, ` `, `\n`}
	b := []byte{'"'}
	for range rng.IntN(5) {
		b = append(b, parts[rng.IntN(len(parts))]...)
	}
	return append(b, '"')
}

func spaces(rng *rand.Rand) string { return []string{"", "", " ", "\n\t", " \r\n"}[rng.IntN(5)] }
