package daemon_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
)

func TestReload_IsRefusedThatWouldLoseAMatch(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "hooks.yaml")
	configured := func(gate, match, run string) string {
		return header(dir) + "reload: {" + gate + `}
hooks:
  - name: site
    path: /site
    provider: github
    secret: ` + secret + `
    rules:
      - {name: deploy, match: '` + match + `', run: "` + run + `"}
`
	}
	const gate = "plan: no_lost, since: 1d, deliveries: 100"
	write(t, path, configured(gate, `branch == "main"`, "true"))
	r := startIn(t, dir)
	delivery := r.push("/site", "a", "push", `{"ref":"refs/heads/main"}`).json.Delivery
	r.push("/site", "b", "push", `{"ref":"refs/heads/other"}`)
	before := r.status().Config.Digest

	write(t, path, configured(gate, `branch == "mian"`, "true"))
	for range 2 { // asked again it says so again
		_, err := r.client.Reload(t.Context())
		var refused *admin.Problem
		if !errors.As(err, &refused) || len(refused.Problems) != 1 {
			t.Fatalf("reload: %v", err)
		}
		p := refused.Problems[0]
		if p.Message != "rule site/deploy would lose 1 of the 1 stored deliveries it matched: "+delivery || p.Line != 4 || len(p.Hints) != 1 {
			t.Errorf("problem %+v", p)
		}
	}
	if s := r.status(); s.Config.Digest != before || s.Config.LastReloadOK {
		t.Errorf("status %+v", s.Config)
	}
	write(t, path, strings.ReplaceAll(configured(gate, `branch == "main"`, "true"), "/site\n", "/elsewhere\n"))
	if _, err := r.client.Reload(t.Context()); err == nil || !strings.Contains(refusal(err), "path /site is not that of the hook any more") {
		t.Errorf("a path that is gone: %v", refusal(err))
	}
	for _, good := range []string{
		configured(gate, `branch == "main" || branch == "third"`, "true"),
		configured(gate, `branch == "main"`, "exit 0"),
		configured("plan: optional", `branch == "mian"`, "exit 0"), // lost on purpose
	} {
		write(t, path, good)
		if _, err := r.client.Reload(t.Context()); err != nil {
			t.Errorf("reload: %v: %s", err, refusal(err))
		}
	}
}

// refusal is what a reload was refused for.
func refusal(err error) string {
	var refused *admin.Problem
	if !errors.As(err, &refused) || len(refused.Problems) == 0 {
		return ""
	}
	return refused.Problems[0].Message
}
