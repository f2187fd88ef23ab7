package pull

import "net/http"

// What a relay and those who take from it say to each other: JSON over HTTP, two requests, both with
// the taker's token as Authorization: Bearer. Fields are only ever added.
const (
	TakePath   = "/relay/v1/take"
	SettlePath = "/relay/v1/settle"
)

// TakeRequest asks for deliveries, and waits for the first when there are none.
type TakeRequest struct {
	Hooks []string `json:"hooks"`
	Most  int      `json:"most"`
	Wait  float64  `json:"wait"` // seconds
}

// TakeAnswer has what nobody else will be given before the lease is over.
type TakeAnswer struct {
	Deliveries []Held         `json:"deliveries"`
	Lease      float64        `json:"lease"`   // seconds
	Waiting    map[string]int `json:"waiting"` // by hook: what waits, with these
}

// Held is a delivery as it arrived at the relay, with what its sender proves itself with.
type Held struct {
	ID         string      `json:"id"`
	Hook       string      `json:"hook"` // at the relay
	Method     string      `json:"method"`
	Scheme     string      `json:"scheme"`
	Host       string      `json:"host"`
	Path       string      `json:"path"`
	RawPath    string      `json:"raw_path"`
	Query      string      `json:"query"`
	IP         string      `json:"ip"`
	Headers    http.Header `json:"headers"`
	Body       []byte      `json:"body"`        // in base64
	ReceivedAt int64       `json:"received_at"` // ms since 1970
	Tries      int         `json:"tries"`       // how often it was handed out, with this time
}

// SettleRequest says what became of deliveries that were taken. Those of other hooks, and those that
// are not there any more, are passed over.
type SettleRequest struct {
	Hooks    []string  `json:"hooks"`
	Taken    []string  `json:"taken"`    // they are on the taker's disk
	Refused  []Refused `json:"refused"`  // they will never be
	Released []string  `json:"released"` // they can be handed out again
}

// Refused is a delivery that a taker cannot take.
type Refused struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// SettleAnswer is for how many that was news.
type SettleAnswer struct {
	Settled int `json:"settled"`
}

// MostTaken bounds how many deliveries are handed out, or settled, at once.
const MostTaken = 100
