package hook

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
)

func shownValues(values []job.RuleValue) (out []string) {
	for _, v := range values {
		line := v.Expr + " = " + string(v.Value)
		if v.Error != "" {
			line = v.Expr + ": " + v.Error
		}
		out = append(out, line)
	}
	return out
}

func TestPlan_KeepsTheValuesThatDecided(t *testing.T) {
	d, _ := planned(t, siteHooks, posted("/site/a", `{"ref":"refs/heads/main","n":5}`))
	want := map[string][]string{
		"always":  nil,
		"matches": {"both = true", `params.repo = "a"`, `params.repo == "a" = true`},
		"no":      {"main = true"},
		"broken":  {`payload.ref = "refs/heads/main"`, "payload.ref > 1: cannot compare text with a number"},
	}
	for _, v := range d.Verdicts {
		if diff := cmp.Diff(want[v.Rule], shownValues(v.Values)); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", v.Rule, diff)
		}
		if (v.Match == "") != (v.Rule == "always") {
			t.Errorf("%s: condition %q", v.Rule, v.Match)
		}
	}
}

func TestPlan_KeepsABoundedPartOfTheValues(t *testing.T) {
	var rules strings.Builder
	condition := strings.TrimSuffix(strings.Repeat(`payload.s != "x" && payload.l != 1 && `, 1)+strings.Repeat(`len(payload.s) > 1 && payload.s[1:] != "y" && `, 20), " && ")
	for i := range 50 {
		fmt.Fprintf(&rules, "\n    - {name: r%d, match: '%s', run: ':'}", i, condition)
	}
	body, err := json.Marshal(map[string]any{"s": strings.Repeat("long ", 1000), "l": make([]int, 5000)})
	if err != nil {
		t.Fatal(err)
	}
	d, jobs := planned(t, "\n  - name: site\n    path: /x\n    verify: none\n    rules:"+rules.String(), posted("/x", string(body)))
	if len(jobs) != 50 {
		t.Fatalf("%d jobs", len(jobs))
	}
	bytes, cut := 0, 0
	for _, v := range d.Verdicts {
		for _, value := range v.Values {
			bytes += len(value.Expr) + len(value.Value)
			if len(value.Value) > keptValue+10 || !json.Valid(value.Value) {
				t.Errorf("%s: %d bytes: %s", value.Expr, len(value.Value), value.Value)
			}
		}
		if v.Cut {
			cut++
		}
	}
	if bytes == 0 || bytes > keptTrace || cut < 40 {
		t.Errorf("%d bytes are kept, and %d rules say that there was more", bytes, cut)
	}
}

func TestPlan_KeepsNoSecret(t *testing.T) {
	const secret = "s3cr3t-of-the-sender-quoted\"too"
	file, d := config.Parse(t.TempDir()+"/hooks.yaml", []byte(`hooks:
  - name: site
    path: /x
    verify: none
    let: {given: payload.token}
    rules:
      - {name: text, match: 'payload.token == `+"`${TOKEN}`"+`', run: ":"}
      - {name: inside, match: 'len(payload.nested) > 5 || payload.nested[0].deep == given + body', run: ":"}
      - {name: cut, match: 'payload.long == "" || body == ""', run: ":"}
      - {name: fails, match: 'payload.token > 1', run: ":"}
`), config.Options{Environ: []string{"TOKEN=" + secret}})
	set := Compile(file.Root.Find("hooks"), Context{Dir: t.TempDir(), Mask: file.Mask()}, d)
	if d.Err() != nil {
		t.Fatal(d.All())
	}
	body, err := json.Marshal(map[string]any{
		"token": secret, "nested": []any{map[string]any{"deep": secret}},
		"long": strings.Repeat("x", keptValue-10) + secret + strings.Repeat("x", 1000), // it would be cut in the middle
	})
	if err != nil {
		t.Fatal(err)
	}
	delivery := &job.Delivery{ID: "d"}
	if _, err := set.Hook("site").Plan(posted("/x", string(body)), Identity{}, delivery); err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(delivery.Verdicts)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(kept), "s3cr3t") || strings.Contains(string(kept), "quoted") || !strings.Contains(string(kept), "[redacted]") {
		t.Errorf("kept %s", kept)
	}
}

func TestExplainStored_SaysWhatWasSaidThen(t *testing.T) {
	d, _ := planned(t, `[{name: site, path: /x, verify: none, match: payload.n == 1, run: ":"}]`, posted("/x", `{"n":1}`))
	d.Body, d.Method, d.Path = []byte(`{"n":1}`), "POST", "/x"
	x := compiled(t, `[{name: site, path: /x, verify: none, match: payload.n == 2, run: ":"}]`).Hook("site").ExplainStored(d)
	if r := x.Rules[0]; r.Verdict != job.NoMatch || r.Then != job.Match {
		t.Errorf("got %+v", r)
	}
	recorded := ExplainRecorded(d, []job.Job{{Rule: "site", ConcurrencyKey: "lane"}})
	if r := recorded.Rules[0]; r.Verdict != job.Match || r.Match != "payload.n == 1" || r.ConcurrencyKey != "lane" ||
		!cmp.Equal(shownValues(r.Values), []string{"payload.n = 1", "payload.n == 1 = true"}) {
		t.Errorf("got %+v", r)
	}
}
