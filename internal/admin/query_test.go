package admin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"":                               {},
		"0s":                             noon,
		"90s":                            noon.Add(-90 * time.Second),
		"1h30m":                          noon.Add(-90 * time.Minute),
		"7d":                             noon.Add(-7 * 24 * time.Hour),
		"2026-01-02T13:00:00+01:00":      noon.Truncate(time.Second),
		"2026-01-02T12:00:00.123456789Z": noon,
	} {
		if got, err := ParseTime(s, noon); err != nil || !got.Equal(want) {
			t.Errorf("ParseTime(%q) = %s, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"-1h", "-7d", "7", "d", "1.5d", "36501d", "99999999999d", "900000h", "yesterday", "2026-01-02", "2026-01-02 12:00:00", "0000-01-01T00:00:00Z", " 1h"} {
		if got, err := ParseTime(s, noon); err == nil {
			t.Errorf("ParseTime(%q) = %s", s, got)
		}
	}
}

// What the client sends is what the server reads.
func TestFilter_SurvivesTheWire(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "site", "a b&c=d;e", "ü%2f+", "#"})
	ids := rapid.SampledFrom([]string{"", id(1), id(2)})
	times := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		f := store.Filter{
			Hook: word.Draw(t, "hook"), Rule: word.Draw(t, "rule"), Event: word.Draw(t, "event"),
			State: rapid.SampledFrom(append([]job.State{""}, job.States...)).Draw(t, "state"),
			Since: times.Draw(t, "since"), Until: times.Draw(t, "until"),
			Delivery: ids.Draw(t, "delivery"), Cursor: ids.Draw(t, "cursor"), Limit: rapid.IntRange(1, MaxLimit).Draw(t, "limit"),
		}
		q, err := parseQuery(encodeFilter(f).Encode(), jobFilters)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseFilter(q, noon)
		if diff := cmp.Diff(f, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
