package job

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Controls are the flow controls of a rule, apart from its lane. Nil fields control nothing.
type Controls struct {
	Once        *Once
	Sequence    bool
	RateLimit   *Pace
	Debounce    *Debounce
	Throttle    *Pace
	StartWithin time.Duration // 0 is no bound
}

// Once lets at most one job of a key succeed within Window.
type Once struct{ Window time.Duration }

// Keep says which job of a burst runs.
type Keep string

// Which job of a burst runs. All is the last one too, with what the others brought.
const (
	KeepLast  Keep = "last"
	KeepFirst Keep = "first"
	KeepAll   Keep = "all"
)

// Debounce lets one job run for a burst: once Quiet has passed without a further one, and at the
// latest MaxWait after the first.
type Debounce struct {
	Quiet, MaxWait time.Duration
	Keep           Keep
}

// The bounds of one burst of KeepAll: beyond them the next delivery begins another.
const (
	MaxBurst      = 1000
	MaxBurstBytes = 16 << 20
)

// Keys are the values of a job's controls, as its delivery made them; "" for a control that its
// rule has not.
type Keys struct {
	Once      string `json:"once,omitempty"`
	Sequence  string `json:"sequence,omitempty"`
	By        string `json:"by,omitempty"` // of Sequence, as ParseMoment returned it
	RateLimit string `json:"rate_limit,omitempty"`
	Debounce  string `json:"debounce,omitempty"`
	Throttle  string `json:"throttle,omitempty"`
	Priority  int    `json:"priority,omitempty"` // seconds of head start
}

// Clone returns keys that share no memory with what they were made of.
func (k Keys) Clone() Keys {
	for _, s := range []*string{&k.Once, &k.Sequence, &k.By, &k.RateLimit, &k.Debounce, &k.Throttle} {
		*s = strings.Clone(*s)
	}
	return k
}

// MaxPriority is how many seconds of head start, or of delay, a job can have.
const MaxPriority = 600

// HeadStart is by how much a job goes before those without one.
func (k Keys) HeadStart() time.Duration {
	return time.Duration(max(-MaxPriority, min(k.Priority, MaxPriority))) * time.Second
}

// The longest text that ParseMoment reads.
const maxMoment = 64

var errMoment = errors.New("is neither a number nor a time (RFC 3339)")

// ParseMoment reads what a sequence is ordered by: a number, or a time of RFC 3339, which counts
// as its seconds since 1970. The result is a decimal number for CompareMoments.
func ParseMoment(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxMoment {
		return "", fmt.Errorf("a text of %d bytes %w", len(s), errMoment)
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return fmt.Sprintf("%d.%0*d", t.Unix(), momentDigits, t.Nanosecond()), nil
	}
	if strings.ContainsAny(s, "eEpPxX/_") { // numbers of a size that nobody means
		return "", fmt.Errorf("%q %w", s, errMoment)
	}
	if _, ok := new(big.Rat).SetString(s); !ok {
		return "", fmt.Errorf("%q %w", s, errMoment)
	}
	return s, nil
}

// momentDigits are the decimals of a moment that was a time; no sender counts in so small a part of anything else.
const momentDigits = 9

// momentText is a moment as people read it: one that was a time is a time again.
func momentText(s string) string {
	whole, part, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	nanos, err2 := strconv.ParseInt(part, 10, 64)
	if err != nil || err2 != nil || len(part) != momentDigits {
		return s
	}
	return time.Unix(seconds, nanos).UTC().Format(time.RFC3339Nano)
}

// CompareMoments is below 0 when a is before b, and above when it is after. What ParseMoment did
// not return is before everything.
func CompareMoments(a, b string) int {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	switch {
	case okX && okY:
		return x.Cmp(y)
	case okX:
		return 1
	case okY:
		return -1
	}
	return 0
}
