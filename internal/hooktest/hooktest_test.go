package hooktest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/hooktest"
)

const hooks = `hooks:
  - name: site
    path: /site/{branch}
    provider: github
    secret: 0123456789abcdef0123456789abcdef
    allow_ips: [127.0.0.1]
    max_body: 1KiB
    rules:
      - {name: push, match: event == "push", run: ./deploy.sh, env: {REF: "${{ payload.ref }}"}}
      - {name: large, match: (payload.size ?? 0) > 10, exec: [/bin/echo, "${{ payload.size }}"], concurrency: {key: "${{ payload.ref }}"}}
tests:
`

// compiled compiles tests against the hooks above, in a folder with a saved delivery.
func compiled(t *testing.T, tests string) ([]*hooktest.Test, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"saved.json": `{"method":"POST","url":"/site/main?x=1","headers":{"X-GitHub-Event":"push"},"body":"{\"ref\":\"r\",\"size\":1}"}`,
		"empty.json": `[]`, "body.json": `{"size":11}`, "deploy.sh": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file, d := config.Parse(filepath.Join(dir, "hooks.yaml"), []byte(hooks+tests), config.Options{})
	set := hook.Compile(file.Root.Find("hooks"), hook.Context{Dir: dir}, d)
	all := hooktest.Compile(file.Root.Find("tests"), set, dir, d)
	var problems strings.Builder
	d.Print(&problems, false)
	return all, problems.String()
}

func TestRun_SaysWhatIsOtherThanExpected(t *testing.T) {
	for test, want := range map[string]string{
		`request: {headers: {X-GitHub-Event: push}, body: '{"ref":"r"}'}, expect: {status: 202, rules: [push], event: push, env: {REF: r}}`: "",
		`request: {body: '{"ref":"r","size":12}'}, expect: {rules: [large], exec: [/bin/echo, "12"], concurrency_key: r}`:                   "",
		`request: {body_file: body.json}, expect: {rules: [large], status: 202}`:                                                            "",
		`delivery: saved.json, expect: {rules: [push], event: push}`:                                                                        "",
		`request: {signed: false}, expect: {status: 401}`:                                                                                   "",
		`request: {ip: 192.0.2.1}, expect: {status: 401}`:                                                                                   "",
		`request: {method: PUT}, expect: {status: 405}`:                                                                                     "",
		`request: {path: /elsewhere}, expect: {status: 404}`:                                                                                "",
		`request: {body: '{"a":"` + strings.Repeat("x", 1024) + `"}'}, expect: {status: 413}`:                                               "",
		`request: {body: '{"ref":"r","size":12}'}, expect: {rules: [push, large]}`:                                                          "rules",
		`request: {body: '{"size":1}'}, expect: {status: 202}`:                                                                              "status",
		`request: {headers: {X-GitHub-Event: push}, body: '{"ref":"r"}'}, expect: {env: {REF: other}}`:                                      "env",
		`request: {signed: false}, expect: {rules: [push]}`:                                                                                 "rules",
		`request: {ip: nowhere}, expect: {status: 401}`:                                                                                     "the request",
	} {
		tests, problems := compiled(t, "  - {name: one, hook: site, "+test+"}\n")
		if problems != "" {
			t.Errorf("%s\n%s", test, problems)
			continue
		}
		result := hooktest.Run(tests, time.Now())[0]
		said := fmt.Sprintf("%+v", result.Diffs)
		if result.OK != (want == "") || want != "" && !strings.HasPrefix(result.Diffs[0].What, want) {
			t.Errorf("%s\nok %t, %s", test, result.OK, said)
		}
	}
}

func TestCompile_SaysWhatIsWrongWithATest(t *testing.T) {
	for test, want := range map[string]string{
		`{name: one, hook: sit, request: {}, expect: {}}`:                                                        `there is no hook "sit"`,
		`{name: one, hook: site, expect: {}}`:                                                                    "a test has a request:, or a delivery: that was saved",
		`{name: one, hook: site, request: {}, expect: {rules: [psh]}}`:                                           `hook "site" has no rule "psh"`,
		`{name: one, hook: site, request: {body: a, body_file: b}, expect: {}}`:                                  "a request has body: or body_file:, not both",
		`{name: one, hook: site, request: {body_file: nowhere}, expect: {}}`:                                     "cannot be read: no such file or directory",
		`{name: one, hook: site, delivery: empty.json, expect: {}}`:                                              "empty.json is no saved delivery",
		`{name: one, hook: site, request: {}, at: soon, expect: {}}`:                                             `"soon" is not a time`,
		`{name: one, hook: site, request: {}, expect: {}, more: 1}`:                                              `unknown key "more"`,
		"{name: one, hook: site, request: {}, expect: {}}\n  - {name: one, hook: site, request: {}, expect: {}}": `there are two tests named "one"`,
	} {
		if _, problems := compiled(t, "  - "+test+"\n"); !strings.Contains(problems, want) {
			t.Errorf("%s: %q, want %q", test, problems, want)
		}
	}
}
