package admin

import (
	"slices"
	"testing"
)

func TestAPI_PausesAndResumesHooksAndRules(t *testing.T) {
	backend := sample()
	d := open(t, backend, Options{})
	for path, status := range map[string]int{
		"hooks/site/pause": 204, "hooks/site/resume": 204, "hooks/site/rules/deploy/pause": 204, "hooks/site/rules/deploy/resume": 204, "hooks/nope/pause": 404,
	} {
		if got := d.ask("POST", prefix+path); got.status != status {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.body, status)
		}
	}
	slices.Sort(backend.changes)
	want := []string{"site/ false", "site/ true", "site/deploy false", "site/deploy true"}
	if !slices.Equal(backend.changes, want) {
		t.Errorf("changes %q, want %q", backend.changes, want)
	}
}
