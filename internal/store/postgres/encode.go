package postgres

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// encodeID checks that id is a UUID, which PostgreSQL takes as it is.
func encodeID(id string) (string, error) {
	if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
		return "", fmt.Errorf("id %q is not a UUID", id)
	}
	return id, nil
}

// knownID is encodeID for something that should exist; what is no id names nothing.
func knownID(what, id string) (string, error) {
	if _, err := encodeID(id); err != nil {
		return "", fmt.Errorf("%s %q: %w", what, id, store.ErrNotFound)
	}
	return id, nil
}

// nullTime is t, or nil for the zero time. The database keeps microseconds.
func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}

// stored is t as it is read back.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

// timeOf undoes nullTime.
func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// escaped begins text that PostgreSQL could not hold as it is: the rest is base64 of it.
const escaped = "\x01"

// encodeText makes text of any bytes. Equal bytes become equal text.
func encodeText[T ~string](s T) string {
	if utf8.ValidString(string(s)) && !strings.Contains(string(s), "\x00") && !strings.HasPrefix(string(s), escaped) {
		return string(s)
	}
	return escaped + base64.RawStdEncoding.EncodeToString([]byte(s))
}

// decodeText undoes encodeText.
func decodeText(s string) (string, error) {
	rest, ok := strings.CutPrefix(s, escaped)
	if !ok {
		return s, nil
	}
	b, err := base64.RawStdEncoding.DecodeString(rest)
	if err != nil {
		return "", fmt.Errorf("read escaped text: %w", err)
	}
	return string(b), nil
}

// decodeTexts undoes encodeText in place.
func decodeTexts(texts ...*string) error {
	for _, t := range texts {
		var err error
		if *t, err = decodeText(*t); err != nil {
			return err
		}
	}
	return nil
}

// encodeJSON returns v as JSON text, or nil for an empty list.
func encodeJSON[T any](v []T) (any, error) {
	if len(v) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func decodeJSON[T any](text *string) (v []T, err error) {
	if text == nil {
		return nil, nil
	}
	return v, json.Unmarshal([]byte(*text), &v)
}

// encodeKeys returns JSON, or nil for no keys.
func encodeKeys(k job.Keys) (*string, error) {
	if k == (job.Keys{}) {
		return nil, nil
	}
	b, err := json.Marshal(k)
	text := string(b)
	return &text, err
}

func decodeKeys(text *string) (k job.Keys, err error) {
	if text == nil {
		return k, nil
	}
	if err := json.Unmarshal([]byte(*text), &k); err != nil {
		return k, fmt.Errorf("read keys: %w", err)
	}
	return k, nil
}

// optional is nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// stateIn returns "(state IN ('queued', 'running'))" for the states that are in.
func stateIn(in func(job.State) bool) string {
	var names []string
	for _, s := range job.States {
		if in(s) {
			names = append(names, "'"+string(s)+"'")
		}
	}
	return "(state IN (" + strings.Join(names, ", ") + "))"
}

// Conditions on the state of a job; the partial index of the schema repeats isLive.
var (
	waits      = stateIn(func(s job.State) bool { return s == job.Scheduled || s == job.Queued })
	isLive     = stateIn(func(s job.State) bool { return !s.Terminal() })
	isOver     = stateIn(job.State.Terminal)
	endedBadly = stateIn(job.State.EndedBadly)
)
