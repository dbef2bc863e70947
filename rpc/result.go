package rpc

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/jsd-project/jsd/call"
)

// Result is what runtime.execute answers.
type Result struct {
	Value   json.RawMessage `json:"value"`
	Console []string        `json:"console"`
	Time    int64           `json:"time"` // ms
	Stats   *Stats          `json:"stats,omitempty"`
}

// executed is the JSON of a Result. The value is passed on as it is.
func executed(r call.Result, err error, stats bool, blank func() blanker) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	if len(r.Value) == 0 {
		r.Value = null
	}
	b := make([]byte, 0, len(r.Value)+64)
	b = append(b, `{"value":`...)
	b = append(b, r.Value...)
	b = append(b, `,"console":`...)
	if len(r.Console) == 0 {
		b = append(b, `[]`...)
	} else {
		b = appendJSON(b, blank().lines(r.Console))
	}
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, r.Time, 10)
	if stats {
		b = append(b, `,"stats":`...)
		b = appendJSON(b, statsOf(r))
	}
	return append(b, '}'), nil
}

// Stats is what a call that asked for it is told of how it ran.
type Stats struct {
	Queue     float64 `json:"queue"`     // ms it waited for a container, in tenths
	Cold      bool    `json:"cold"`      // it was the first call of its container
	CPU       float64 `json:"cpu"`       // ms of processor time, in tenths, as the agent says
	Container string  `json:"container"` // ID
}

func statsOf(r call.Result) Stats {
	return Stats{Queue: tenths(r.Queue), Cold: r.Cold, CPU: tenths(r.CPU), Container: r.Container}
}

func tenths(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}
