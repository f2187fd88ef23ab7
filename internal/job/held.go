package job

import "time"

// Held is what a delivery has that is held for another daemon to take: nothing is run for it here.
type Held struct {
	Delivery string // id
	State    HeldState
	Taker    string    // who took it last, by the name of the token; "" before the first
	Tries    int       // how often it was handed out
	Until    time.Time // it is handed out to nobody else before; zero when nobody has it
	At       time.Time // when State, Taker or Until last changed
	Reason   string    // why it was refused

	// What a taker needs to verify it, beside what every delivery has.
	Scheme, Host, RawPath string
	// Sealed are the headers that a delivery is stored without, so that who reads the store does not
	// have them; see hook.Hook.
	Sealed []byte
}

// HeldState is where a held delivery stands.
type HeldState string

// The states of a held delivery.
const (
	HeldWaiting      HeldState = "waiting"      // for a taker, or for the answer of one
	HeldAcknowledged HeldState = "acknowledged" // it is on a taker's disk
	HeldRefused      HeldState = "refused"      // a taker could not take it; it is kept until retention takes it
)

// Taking asks for held deliveries.
type Taking struct {
	Hooks []string
	Taker string
	Most  int // deliveries
	Bytes int // of their bodies together; the first is handed out whatever its size
	At    time.Time
	Until time.Time // when they are handed out to others, if they are not settled before
}

// HeldEnd says what became of held deliveries.
type HeldEnd struct {
	Hooks      []string // those of other hooks are left alone
	Deliveries []string // ids; those that are not held are passed over
	// State is what they are now. A release is HeldWaiting: they are handed out again at once. One
	// that is acknowledged stays so, but for Again.
	State  HeldState
	Taker  string // of a release: only what this taker has; "" is everybody's
	Again  bool   // a person wants them handed out once more
	Reason string
	At     time.Time
}

// HeldCount is how many deliveries of a hook are held.
type HeldCount struct {
	Hook    string
	Waiting int            // those that a taker has included
	With    map[string]int // of them, by the taker that has them, while its lease lasts; nil for none
	Refused int
	Oldest  time.Time // when the oldest that waits was received; zero for none
}

// AddTo adds what one taker has of a hook, or nobody, to counts that are in the order of the hooks.
func (c HeldCount) AddTo(all []HeldCount, taker string) []HeldCount {
	if len(all) == 0 || all[len(all)-1].Hook != c.Hook {
		all = append(all, HeldCount{Hook: c.Hook})
	}
	sum := &all[len(all)-1]
	sum.Waiting, sum.Refused = sum.Waiting+c.Waiting, sum.Refused+c.Refused
	if taker != "" {
		if sum.With == nil {
			sum.With = map[string]int{}
		}
		sum.With[taker] += c.Waiting
	}
	if sum.Oldest.IsZero() || !c.Oldest.IsZero() && c.Oldest.Before(sum.Oldest) {
		sum.Oldest = c.Oldest
	}
	return all
}

// Taken is how many of those that wait a taker has.
func (c HeldCount) Taken() (n int) {
	for _, with := range c.With {
		n += with
	}
	return n
}
