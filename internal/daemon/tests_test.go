package daemon_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
)

func TestReload_IsRefusedWhenARequiredTestFails(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "hooks.yaml")
	configured := func(branch string) string {
		return header(dir) + `reload: {tests: required}
hooks:
  - name: site
    path: /site
    verify: {scheme: bearer}
    secret: ` + secret + `
    match: payload.ref == "refs/heads/` + branch + `"
    run: "true"
tests:
  - name: a push to main deploys
    hook: site
    request: {body: '{"ref":"refs/heads/main"}'}
    expect: {rules: [site]}
`
	}
	write(t, path, configured("main"))
	r := startIn(t, dir)
	before := r.status().Config.Digest
	write(t, path, configured("mian"))
	_, err := r.client.Reload(t.Context())
	var refused *admin.Problem
	if !errors.As(err, &refused) || len(refused.Problems) != 1 {
		t.Fatalf("reload: %v", err)
	}
	p := refused.Problems[0]
	if p.Message != `test "a push to main deploys" failed: rules is [], not [site]` || p.Line != 13 || !strings.HasSuffix(p.File, "hooks.yaml") {
		t.Errorf("problem %+v", p)
	}
	if s := r.status(); s.Config.Digest != before || s.Config.LastReloadOK {
		t.Errorf("status %+v", s.Config)
	}
	write(t, path, configured("main")+"# again\n")
	if _, err := r.client.Reload(t.Context()); err != nil {
		t.Errorf("reload of a file whose tests pass: %v", err)
	}
}
