package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// encodeID returns the bytes of a UUID.
func encodeID(id string) ([]byte, error) {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return nil, fmt.Errorf("id %q is not a UUID", id)
	}
	return u[:], nil
}

func decodeID(b []byte) (string, error) {
	u, err := uuid.FromBytes(b)
	if err != nil {
		return "", fmt.Errorf("read id: %w", err)
	}
	return u.String(), nil
}

// encodeTime returns microseconds since 1970, or 0 for the zero time.
func encodeTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func decodeTime(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// encodeJSON returns v as JSON text, or nil for an empty list.
func encodeJSON[T any](v []T) (any, error) {
	if len(v) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func decodeJSON[T any](text []byte) (v []T, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	return v, json.Unmarshal(text, &v)
}
