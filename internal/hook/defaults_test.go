package hook

import (
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/config"
)

// TestDefaults_ReachEveryRuleThatDoesNotSayOtherwise sets what every rule may have.
func TestDefaults_ReachEveryRuleThatDoesNotSayOtherwise(t *testing.T) {
	src := `
defaults:
  concurrency: {key: "${{ hook }}"}
  start_within: 14d
  priority: 5
  umask: "027"
  on_failure: [{run: "true"}, {http: {url: "https://example.com/failed"}}]
hooks:
  - name: site
    path: /site
    verify: none
    rules:
      - {name: plain, run: "true"}
      - {name: http, http: {url: "https://example.com/"}}
      - {name: own, run: "true", on_failure: [{run: "false"}], concurrency: {key: own}, start_within: 20ms}
`
	file, d := config.Parse(t.TempDir()+"/hooks.yaml", []byte(src), config.Options{})
	set := Compile(file.Root.Find("hooks"), Context{Dir: t.TempDir(), Digest: "digest", Defaults: file.Root.Find("defaults")}, d)
	if d.Err() != nil {
		var text strings.Builder
		d.Print(&text, false)
		t.Fatal(text.String())
	}
	h, _ := set.Lookup("/site")
	for i, want := range []struct {
		failures int
		within   string
	}{{2, "336h0m0s"}, {2, "336h0m0s"}, {1, "20ms"}} {
		r := h.Rules[i]
		if got := len(r.after["on_failure"]); got != want.failures {
			t.Errorf("%s: %d actions follow a failure, want %d", r.Name, got, want.failures)
		}
		if got := r.controls.StartWithin.String(); got != want.within {
			t.Errorf("%s: start_within is %s", r.Name, got)
		}
	}
}
