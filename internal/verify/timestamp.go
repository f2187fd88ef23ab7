package verify

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// DefaultTolerance is how far a sender's clock, or the journey of a request, may be off when
// nobody says otherwise.
const DefaultTolerance = 5 * time.Minute

// The units of a timestamp.
const (
	seconds      = "s"
	milliseconds = "ms"
	rfc3339      = "rfc3339"
	httpDate     = "http-date"
)

// NoAge is the tolerance of a timestamp that is signed and whose age says nothing.
const NoAge = time.Duration(math.MaxInt64)

// Timestamp says where the time of signing is, and how far from now it may be, past or future.
// What is signed is the text as it was sent.
type Timestamp struct {
	Header    string        `yaml:"header" doc:"Header that holds it."`
	Key       string        `yaml:"key" doc:"Key in a header of pairs: t of t=…,v1=…."`
	Field     string        `yaml:"field" doc:"Field of the signed body that holds it."`
	Tolerance time.Duration `yaml:"tolerance" doc:"How far from now it may be, past or future."`
	Unit      string        `yaml:"unit" doc:"How it is written." oneof:"s ms rfc3339 http-date"`
	Required  bool          `yaml:"required" doc:"false: a request without one passes, if it is not signed."`
}

func (t *Timestamp) used() bool { return t.Header != "" || t.Key != "" || t.Field != "" }

// text is the timestamp as it was sent; pair is what the signature's header had under Key. Both
// are "" when there is none and none is needed.
func (t *Timestamp) text(r *request.Request, pair, place string) (string, error) {
	switch {
	case t.Key != "" && pair == "":
		return "", fmt.Errorf("%s has no timestamp %s=", place, t.Key)
	case t.Key != "":
		return pair, nil
	case t.Field != "":
		return fieldValue(r, t.Field)
	case t.Header == "":
		return "", nil
	}
	if _, ok, _ := r.HeaderValue(t.Header); !ok && !t.Required {
		return "", nil
	}
	return headerValue(r, t.Header)
}

// moment reads a timestamp: a date, or digits only. Digits past the year 5000 are refused: they
// are another unit, or an attempt at an overflow.
func (t *Timestamp) moment(text string) (time.Time, error) {
	switch t.Unit {
	case rfc3339:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return time.Time{}, errors.New("timestamp is not a time such as 2026-01-02T15:04:05Z")
		}
		return at, nil
	case httpDate:
		at, err := http.ParseTime(text)
		if err != nil {
			return time.Time{}, errors.New("timestamp is not a time such as Fri, 02 Jan 2026 15:04:05 GMT")
		}
		return at, nil
	}
	unit, limit, read := "seconds", int64(1e11), func(v int64) time.Time { return time.Unix(v, 0) }
	if t.Unit == milliseconds {
		unit, limit, read = "milliseconds", 1e14, time.UnixMilli
	}
	if text == "" || len(text) > 19 {
		return time.Time{}, fmt.Errorf("timestamp is not a number of %s", unit)
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return time.Time{}, fmt.Errorf("timestamp is not a number of %s", unit)
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v >= limit {
		return time.Time{}, fmt.Errorf("timestamp is absurd as a number of %s", unit)
	}
	return read(v), nil
}

// fresh compares at the timestamp's own resolution.
func (t *Timestamp) fresh(at, now time.Time, tolerance time.Duration) error {
	resolution := time.Second
	switch t.Unit {
	case milliseconds:
		resolution = time.Millisecond
	case rfc3339:
		resolution = time.Nanosecond
	}
	off := now.Truncate(resolution).Sub(at).Abs()
	if off > tolerance {
		return fmt.Errorf("timestamp is %s off, tolerance is %s", off.Round(time.Second), tolerance)
	}
	return nil
}

// format is now as the sender writes it.
func (t *Timestamp) format(now time.Time) string {
	switch t.Unit {
	case milliseconds:
		return strconv.FormatInt(now.UnixMilli(), 10)
	case rfc3339:
		return now.UTC().Format(time.RFC3339Nano)
	case httpDate:
		return now.UTC().Format(http.TimeFormat)
	}
	return strconv.FormatInt(now.Unix(), 10)
}

// set writes the timestamp where text finds it, if that is not the signature's own header.
func (t *Timestamp) set(r *request.Request, text string) error {
	switch {
	case t.Header != "":
		setHeader(r, t.Header, text)
	case t.Field != "":
		return SetField(r, t.Field, text)
	}
	return nil
}

func (t *Timestamp) check(inPairs, signed bool) []Problem {
	var problems []Problem
	add := func(key, message string, hints ...string) {
		problems = append(problems, Problem{Path: []string{"timestamp", key}, Message: message, Hints: hints})
	}
	if t.Header != "" {
		problems = append(problems, checkHeaderName(t.Header, "timestamp", "header")...)
	}
	if t.Header != "" && t.Key != "" || t.Field != "" && (t.Header != "" || t.Key != "") {
		add("key", "only one of header, key and field can be given")
	}
	if t.Key != "" && !inPairs {
		add("key", "a timestamp's key needs signature_key: both are in the same header", "signature_key: v1")
	}
	if !t.Required && (signed || t.Key != "") {
		add("required", "a signed timestamp is always required")
	}
	if err := checkTolerance(t.Tolerance); err != nil {
		add("tolerance", err.Error())
	}
	return append(problems, oneOf(t.Unit, []string{seconds, milliseconds, rfc3339, httpDate}, "timestamp", "unit")...)
}

// checkTolerance has no upper bound: with a long one, the delivery key alone stops replays.
func checkTolerance(d time.Duration) error {
	if d < time.Second {
		return errors.New("tolerance is at least 1s: clocks differ")
	}
	return nil
}
