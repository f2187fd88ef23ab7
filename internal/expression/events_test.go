package expression

import (
	"slices"
	"testing"
)

func TestConstants_AreWhatANameMustBe(t *testing.T) {
	for src, want := range map[string][]string{
		`event == "push"`:                                   {"push"},
		`"push" == event && branch == "main"`:               {"push"},
		`branch == "main" and event in ["push", "release"]`: {"push", "release"},
		`event == "push" || event == "release" && x`:        {"push", "release"},
		`event in ["a", "b"] && event in ["b", "c"]`:        {"b"},
		`payload.x ? event == "a" : event == "b"`:           {"a", "b"},
		`false`:                               {},
		`event == "a" || false`:               {"a"},
		`true`:                                nil,
		``:                                    nil,
		`branch == "main"`:                    nil,
		`event != "push"`:                     nil,
		`not (event == "push")`:               nil,
		`event == "push" || branch == "main"`: nil,
		`event == x`:                          nil,
		`event in ["push", x]`:                nil,
		`event startsWith "pull"`:             nil,
		`payload.event == "push"`:             nil,
		`(event == "push" || branch == "x") && event in ["push","y"]`: {"push", "y"},
	} {
		got, bounded := Constants(src, "event")
		if bounded != (want != nil) || !slices.Equal(got, want) && len(want) > 0 {
			t.Errorf("%s: %q, %v; want %q", src, got, bounded, want)
		}
	}
}
