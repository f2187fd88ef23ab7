package hook

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

const siteHooks = `
  - name: site
    path: /site/{repo}
    verify: none
    let:
      main: payload.ref == "refs/heads/main"
      both: main && payload.n > 1
    rules:
      - {name: always, run: ":"}
      - {name: matches, match: both && params.repo == "a", run: ":", concurrency: {key: "c-${{ payload.n }}"}, retry: {attempts: 3}}
      - {name: no, match: '!main', run: ":"}
      - {name: broken, match: payload.ref > 1, run: ":"}
`

func TestPlan_OneVerdictPerRuleAndOneJobPerMatch(t *testing.T) {
	d, jobs := planned(t, siteHooks, posted("/site/a", `{"ref":"refs/heads/main","n":9007199254740993}`))
	var got []string
	for _, v := range d.Verdicts {
		got = append(got, v.Rule+" "+string(v.Verdict))
	}
	if diff := cmp.Diff([]string{"always match", "matches match", "no no_match", "broken error"}, got); diff != "" {
		t.Errorf("verdicts: want -, got +:\n%s", diff)
	}
	if v := d.Verdicts[3]; !strings.Contains(v.Error, "refs/heads/main") {
		t.Errorf("the error does not say what it met: %q", v.Error)
	}
	if len(jobs) != 2 || jobs[0].Rule != "always" || jobs[1].Rule != "matches" {
		t.Fatalf("jobs %+v", jobs)
	}
	want := job.Job{
		ID: jobs[1].ID, Delivery: "delivery", Hook: "site", Rule: "matches", State: job.Queued, RunAt: received, CreatedAt: received,
		ConcurrencyKey: "c-9007199254740993",
	}
	if diff := cmp.Diff(want, jobs[1]); diff != "" {
		t.Errorf("job: want -, got +:\n%s", diff)
	}
	if d.Outcome != job.Accepted || d.Hook != "site" || d.Window != 30*24*time.Hour || d.OnDuplicate != job.Skip {
		t.Errorf("delivery %+v", d)
	}
}

func TestPlan_ADeliveryNobodyWantsIsIgnored(t *testing.T) {
	d, jobs := planned(t, `[{name: site, path: /x, verify: none, match: event == "push", run: ":"}]`, posted("/x", `{}`))
	if d.Outcome != job.Ignored || len(jobs) != 0 {
		t.Errorf("%s with %d jobs", d.Outcome, len(jobs))
	}
}

func TestPlan_AnUndecodableBodyIsRefusedWhole(t *testing.T) {
	h, _ := compiled(t, `[{name: site, path: /x, verify: none, run: ":"}]`).Lookup("/x")
	_, err := h.Plan(posted("/x", `{"a":`), Identity{Key: "k"}, &job.Delivery{ID: "d"})
	var undecodable *request.DecodeError
	if !errors.As(err, &undecodable) {
		t.Errorf("got %v", err)
	}
}

func TestIdentify_TheKeyIsTheSendersOrTheDigest(t *testing.T) {
	key := func(hooks string, r *request.Request) string {
		d, _ := planned(t, hooks, r)
		return d.Key
	}
	const github = `[{name: site, path: /x, provider: github, secret: 0123456789abcdef, run: ":"}]`
	if got := key(github, posted("/x", `{}`, "X-GitHub-Delivery", "72d3162e")); got != "72d3162e" {
		t.Errorf("GitHub's key is %q", got)
	}
	const own = `[{name: site, path: /x, verify: none, dedupe: {key: "${{ payload.id }}-${{ payload.n }}"}, run: ":"}]`
	if got := key(own, posted("/x", `{"id":"a","n":9007199254740993}`)); got != "a-9007199254740993" {
		t.Errorf("the hook's own key is %q", got)
	}
	const named = `[{name: site, path: /x, verify: none, let: {order: payload.data.id, both: order + "/" + event}, dedupe: {key: "${{ both }}"}, run: ":"}]`
	if got := key(named, posted("/x", `{"data":{"id":"o1"}}`)); got != "o1/" {
		t.Errorf("the key by a let: value is %q", got)
	}
	const plain = `[{name: site, path: "/x/{p}", verify: none, run: ":"}]`
	first := key(plain, posted("/x/1", `{"a":1}`))
	if again := key(plain, posted("/x/1", `{"a":1}`, "X-Other", "header")); again != first {
		t.Errorf("the same request has the keys %q and %q", first, again)
	}
	for what, r := range map[string]*request.Request{
		"body": posted("/x/1", `{"a":2}`), "path": posted("/x/2", `{"a":1}`),
		"query":  {Method: "POST", Path: "/x/1", RawQuery: "a=1", Body: []byte(`{"a":1}`), Header: posted("", "").Header},
		"method": {Method: "PUT", Path: "/x/1", Body: []byte(`{"a":1}`), Header: posted("", "").Header},
	} {
		if got := key(plain, r); got == first {
			t.Errorf("another %s has the same key", what)
		}
	}
}

func TestAnswer_TheBodyHasTheContentTypeOfRespond(t *testing.T) {
	for respond, want := range map[string]string{
		`{content_type: text/html, body: "<p>"}`:                                                 "text/html",
		`{content_type: text/html, body: "<p>", headers: {content-type: application/xhtml+xml}}`: "application/xhtml+xml",
		`{content_type: text/html, body: "<p>", wait: 1s}`:                                       "text/html",
		`{body: "<p>"}`: "text/plain; charset=utf-8",
	} {
		h, _ := compiled(t, `[{name: site, path: /x, verify: none, respond: `+respond+`, run: ":"}]`).Lookup("/x")
		a := h.Answer(posted("/x", `{}`), &job.Delivery{ID: "d", Outcome: job.Accepted})
		if got := a.Header.Get("Content-Type"); got != want || string(a.Body) != "<p>" {
			t.Errorf("%s: %q of type %q, want %q", respond, a.Body, got, want)
		}
	}
}

func TestConceal_NothingThatVerifiesIsKept(t *testing.T) {
	h, _ := compiled(t, `[{name: site, path: /x, provider: github, secret: 0123456789abcdef, run: ":"}]`).Lookup("/x")
	r := posted("/x", "{}", "X-Hub-Signature-256", "sha256=abc", "X-GitHub-Event", "push", "Authorization", "Bearer x", "Cookie", "a=b")
	kept, withheld := h.Conceal(r.Header)
	for _, name := range withheld {
		if kept.Get(name) != "" {
			t.Errorf("%s is withheld and kept", name)
		}
	}
	if kept.Get("X-Hub-Signature-256") != "" || kept.Get("Authorization") != "" || kept.Get("Cookie") != "" || kept.Get("X-GitHub-Event") != "push" {
		t.Errorf("kept %v", kept)
	}
	if r.Header.Get("X-Hub-Signature-256") == "" {
		t.Error("the request itself was changed")
	}
}

func TestExplain_SaysWhatADeliveryWouldDo(t *testing.T) {
	h, params := compiled(t, siteHooks).Lookup("/site/a")
	r := posted("/site/a", `{"ref":"refs/heads/main","n":2}`)
	r.Params = params
	e := h.Explain(r, received)
	if !e.Verified || e.Hook != "site" || len(e.Rules) != 4 || e.PayloadError != "" {
		t.Fatalf("%+v", e)
	}
	if m := e.Rules[1]; m.Verdict != job.Match || m.ConcurrencyKey != "c-2" || len(m.Values) == 0 || m.Action == nil {
		t.Errorf("the rule that matches: %+v", m)
	}
	if no := e.Rules[2]; no.Verdict != job.NoMatch || no.Action != nil || len(no.Values) == 0 {
		t.Errorf("the rule that does not: %+v", no)
	}
	if broken := e.Rules[3]; broken.Verdict != job.Error || broken.Error == "" || broken.Action != nil {
		t.Errorf("the rule that is broken: %+v", broken)
	}
}

func TestExplain_AForgedRequestIsSaidToBeAndStillTried(t *testing.T) {
	h, _ := compiled(t, `[{name: site, path: /x, provider: github, secret: 0123456789abcdef, match: event == "push", run: ":"}]`).Lookup("/x")
	e := h.Explain(posted("/x", "{}", "X-Hub-Signature-256", "sha256=00", "X-GitHub-Event", "push"), received)
	if e.Verified || e.Reason == "" || e.Secret != -1 || len(e.Rules) != 1 || e.Rules[0].Verdict != job.Match {
		t.Errorf("%+v", e)
	}
}

func TestPlan_ASecretInARuleIsNotInTheRecord(t *testing.T) {
	file, d := config.Parse(t.TempDir()+"/hooks.yaml", []byte(`hooks: [{name: site, path: /x, verify: none, match: 'int("${TOKEN}" + payload.x) > 3 || payload.x == "${TOKEN}"', run: ":"}]`), config.Options{Environ: []string{"TOKEN=match-secret-abcdefghijkl"}})
	h, _ := Compile(file.Root.Find("hooks"), Context{Dir: t.TempDir(), Mask: file.Mask()}, d).Lookup("/x")
	if d.Err() != nil || len(file.Mask()) == 0 {
		t.Fatalf("%v, %d values masked", d.Err(), len(file.Mask()))
	}
	e, delivery := h.Explain(posted("/x", `{"x":"abd"}`), received), &job.Delivery{ID: "d"}
	if _, err := h.Plan(posted("/x", `{"x":"abd"}`), Identity{Key: "k"}, delivery); err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%+v %+v", e, delivery.Verdicts); strings.Contains(shown, "match-secret") || !strings.Contains(shown, "abd") {
		t.Errorf("shown: %s", shown)
	}
}

func TestIdentify_AChosenKeyIsShortAndNoDigest(t *testing.T) {
	const github = `[{name: site, path: /x, provider: github, secret: 0123456789abcdef, run: ":"}]`
	plain, _ := planned(t, `[{name: site, path: /x, verify: none, run: ":"}]`, posted("/x", "{}"))
	forged, _ := planned(t, github, posted("/x", "{}", "X-GitHub-Delivery", plain.Key))
	if forged.Key == plain.Key || !strings.HasPrefix(plain.Key, "sha256:") {
		t.Errorf("a chosen key can be a digest: %q", forged.Key)
	}
	long, _ := planned(t, github, posted("/x", "{}", "X-GitHub-Delivery", strings.Repeat("x", 5000)))
	if len(long.Key) > maxKey {
		t.Errorf("a key of %d bytes", len(long.Key))
	}
	h, _ := compiled(t, github).Lookup("/x")
	if _, err := h.Identify(posted("/x", "{}", "X-GitHub-Event", strings.Repeat("x", 300))); err == nil {
		t.Error("an event type of 300 bytes is taken")
	}
}

func TestPlan_OnlyWhatIsWrittenAsATemplateIsOne(t *testing.T) {
	outside := config.Options{Environ: []string{"FROM_OUTSIDE=${{ payload.n }}"}}
	for key, want := range map[string]string{
		`$${{ payload.n }}`:                    "${{ payload.n }}",
		`$$${{ payload.n }}`:                   "$7",
		`${FROM_OUTSIDE}`:                      "${{ payload.n }}",
		`${FROM_OUTSIDE}${{ payload.n }}`:      "${{ payload.n }}7",
		`${NONE_SET:-$}{{ x }}`:                "${{ x }}",
		`a $$$${{ payload.n }} ${{payload.n}}`: "a $${{ payload.n }} 7",
	} {
		_, jobs := plannedWith(t, outside, `[{name: site, path: /x, verify: none, run: ":", concurrency: {key: "`+key+`"}}]`, posted("/x", `{"n":7}`))
		if len(jobs) != 1 || jobs[0].ConcurrencyKey != want {
			t.Errorf("%s: got %q, want %q", key, jobs[0].ConcurrencyKey, want)
		}
	}
}
