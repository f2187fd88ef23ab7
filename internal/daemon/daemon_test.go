package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tenterhook/tenterhook/internal/job"
)

const siteHook = `hooks:
  - name: site
    path: /github
    provider: github
    secret: ` + secret + `
    match: event == "push" && branch == "main"
    run: echo "$WHO" >> out; echo done
    env: {WHO: "${{ payload.pusher.name }}"}
`

const pushMain = `{"ref":"refs/heads/main","after":"abc","pusher":{"name":"ada"},"commits":[],"repository":{"full_name":"acme/site"}}`

func TestDelivery_AMatchingPushRunsItsScriptOnce(t *testing.T) {
	r := start(t, siteHook)
	a := r.push("/github", "d1", "push", pushMain)
	if a.status != http.StatusAccepted || a.json.Status != "accepted" || len(a.json.Jobs) != 1 {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	j := r.job(a.json.Jobs[0])
	if j.State != job.Succeeded || len(j.Attempts) != 1 || j.Attempts[0].Output != "done\n" {
		t.Fatalf("job %+v", j)
	}
	if got := read(t, filepath.Join(r.dir, "out")); got != "ada\n" {
		t.Fatalf("out has %q", got)
	}
}

func TestDelivery_FiftyCopiesInParallelRunOnce(t *testing.T) {
	r := start(t, siteHook)
	answers := make([]answer, 50)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = r.push("/github", "same", "push", pushMain) })
	}
	all.Wait()
	accepted, first := 0, ""
	for _, a := range answers {
		if first == "" {
			first = a.json.Delivery
		}
		switch {
		case a.json.Delivery != first:
			t.Fatalf("two deliveries: %s and %s", first, a.json.Delivery)
		case a.status == http.StatusAccepted:
			accepted++
			r.job(a.json.Jobs[0])
		case a.status != http.StatusOK || a.json.Status != "duplicate":
			t.Fatalf("answer %d %s", a.status, a.body)
		}
	}
	if accepted != 1 {
		t.Fatalf("%d of 50 copies were accepted as new", accepted)
	}
	if got := read(t, filepath.Join(r.dir, "out")); got != "ada\n" {
		t.Fatalf("the script ran %d times", strings.Count(got, "\n"))
	}
}

func TestDelivery_TheAnswerTable(t *testing.T) {
	r := start(t, siteHook+`
  - {name: hidden, path: /hidden, provider: github, secret: `+secret+`, hide: true, run: ":"}
  - {name: small, path: "/small/{x}", verify: none, max_body: 10, run: ":"}
  - {name: limited, path: /limited, verify: none, dedupe: none, rate: {limit: 1, per: 1h}, run: ":"}
  - {name: told, path: /told, verify: none, dedupe: none, respond: {status: 201, headers: {X-A: b}, body: "got ${{ payload.n }}"}, run: ":"}
  - {name: told-no, path: /told-no, verify: none, match: "false", respond: {ignored: {status: 204}}, run: ":"}
  - {name: waits, path: /waits, verify: none, dedupe: none, respond: {wait: 20s, content_type: text/html}, run: "echo '<b>hi</b>'"}
  - {name: waits-bad, path: /waits-bad, verify: none, dedupe: none, respond: {wait: 20s, status: 201, headers: {X-A: b}}, run: "echo oh; exit 3"}
  - {name: waits-good, path: /waits-good, verify: none, dedupe: none, respond: {wait: 20s, status: 201, headers: {X-A: b}, failed: {body: no}}, run: "echo yes"}
  - {name: keeps-back, path: /keeps-back, verify: none, dedupe: none, respond: {wait: 20s, failed: {status: 422, headers: {X-B: c}, body: "it failed"}}, run: "echo secret; exit 3"}
  - {name: keeps-back-still, path: /keeps-back-still, verify: none, dedupe: none, respond: {wait: 20s, failed: {body: "${{ 1 / payload.zero }}"}}, run: "echo secret; exit 3"}
  - {name: own-no, path: /own-no, verify: none, match: "false", methods: [POST, OPTIONS], respond: {status: 201, headers: {X-A: b}, ignored: {status: 403, headers: {X-B: c}, body: "not wanted"}}, run: ":"}
  - {name: strict, path: /strict, verify: none, match: payload.a == 1, run: ":"}
`)
	signed := map[string]string{"X-Hub-Signature-256": sign(secret, "{}"), "X-GitHub-Event": "ping", "X-GitHub-Delivery": "p"}
	for _, tt := range []struct {
		what, method, path, body string
		header                   map[string]string
		status                   int
		has, not                 string
		wantHeader               string // "Name: value"
	}{
		{what: "no rule matched", method: "POST", path: "/github", body: "{}", header: signed, status: 200, has: `"status":"ignored"`},
		{what: "no signature", method: "POST", path: "/github", body: "{}", status: 401, has: `{"error":"verification_failed"}`},
		{what: "wrong signature", method: "POST", path: "/github", body: "{ }", header: signed, status: 401, has: `{"error":"verification_failed"}`},
		{what: "unknown path", method: "POST", path: "/nowhere", status: 404, has: `{"error":"not_found"}`},
		{what: "trailing slash", method: "POST", path: "/github/", status: 404, has: `{"error":"not_found"}`},
		{what: "method", method: "GET", path: "/github", status: 405, has: `"error"`, wantHeader: "Allow: POST"},
		{what: "hidden", method: "POST", path: "/hidden", body: "{}", status: 404, has: `{"error":"not_found"}`},
		{what: "hidden method", method: "GET", path: "/hidden", status: 404, has: `{"error":"not_found"}`},
		{what: "too large", method: "POST", path: "/small/a", body: "01234567890", status: 413, has: `"error"`},
		{what: "just small enough", method: "POST", path: "/small/a", body: "0123456789", status: 202, has: `"accepted"`},
		{what: "within the rate", method: "POST", path: "/limited", status: 202, has: `"accepted"`},
		{what: "over the rate", method: "POST", path: "/limited", status: 429, has: `"error"`, wantHeader: "Retry-After: 3600"},
		{what: "own answer", method: "POST", path: "/told", body: `{"n":9007199254740993}`, status: 201, has: "got 9007199254740993", wantHeader: "X-A: b"},
		{what: "own answer when ignored", method: "POST", path: "/told-no", status: 204},
		{what: "waits for the output", method: "POST", path: "/waits", status: 200, has: "<b>hi</b>", wantHeader: "Content-Type: text/html"},
		{what: "waits for what fails", method: "POST", path: "/waits-bad", status: 500, has: "oh"},
		{what: "waits, with a status of its own", method: "POST", path: "/waits-good", status: 201, has: "yes", wantHeader: "X-A: b"},
		{what: "keeps the output of what failed back", method: "POST", path: "/keeps-back", status: 422, has: "it failed", wantHeader: "X-B: c"},
		{what: "keeps it back even when it cannot say why", method: "POST", path: "/keeps-back-still", body: `{"zero":0}`, status: 500, not: "secret"},
		{what: "own answer when ignored, with its own headers", method: "POST", path: "/own-no", status: 403, has: "not wanted", wantHeader: "X-B: c"},
		{what: "and without the other ones", method: "OPTIONS", path: "/own-no", status: 403, has: "not wanted", wantHeader: "X-A: "},
		{what: "undecodable", method: "POST", path: "/strict", body: `{"a":1,"a":2}`, header: map[string]string{"Content-Type": "application/json"}, status: 400, has: `"error"`},
		{what: "undecodable, whatever the rules look at", method: "POST", path: "/told-no", body: `{"a":`, header: map[string]string{"Content-Type": "application/json"}, status: 400, has: `{"error":"body_undecodable"}`},
		{what: "compressed otherwise", method: "POST", path: "/strict", body: `x`, header: map[string]string{"Content-Encoding": "br"}, status: 415, has: `"error"`},
		{what: "not compressed, though it says so", method: "POST", path: "/strict", body: `x`, header: map[string]string{"Content-Encoding": "gzip"}, status: 400, has: `"error"`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			a := r.send(tt.method, tt.path, tt.body, tt.header)
			if a.status != tt.status || !strings.Contains(a.body, tt.has) || tt.not != "" && strings.Contains(a.body, tt.not) {
				t.Errorf("got %d %q, want %d with %q", a.status, a.body, tt.status, tt.has)
			}
			if name, value, ok := strings.Cut(tt.wantHeader, ": "); ok && a.header.Get(name) != value {
				t.Errorf("header %s is %q, want %q", name, a.header.Get(name), value)
			}
		})
	}
}

func TestRedelivery_RunsOnlyWhatFailedAgain(t *testing.T) {
	r := start(t, `hooks:
  - name: site
    path: /github
    provider: github
    secret: `+secret+`
    rules:
      - {name: good, run: "echo good >> out"}
      - {name: bad, run: "echo bad >> out; test -e fixed"}
`)
	first := r.push("/github", "d", "push", pushMain)
	for _, id := range first.json.Jobs {
		r.job(id)
	}
	write(t, filepath.Join(r.dir, "fixed"), "")
	again := r.push("/github", "d", "push", pushMain)
	if again.status != 200 || again.json.Status != "duplicate" || again.json.Delivery != first.json.Delivery {
		t.Fatalf("redelivery: %d %s", again.status, again.body)
	}
	bad := first.json.Jobs[1]
	r.eventually("the failed job to succeed", func() bool { return r.job(bad).State == job.Succeeded })
	if j := r.job(bad); len(j.Attempts) != 2 {
		t.Errorf("%d attempts of the failed job", len(j.Attempts))
	}
	if j := r.job(first.json.Jobs[0]); len(j.Attempts) != 1 {
		t.Errorf("the job that had succeeded has %d attempts", len(j.Attempts))
	}
}

func TestConcurrency_JobsOfOneKeyRunOneByOneInOrder(t *testing.T) {
	r := start(t, `hooks:
  - name: site
    path: /github
    provider: github
    secret: `+secret+`
    run: |
      mkdir lock
      echo "$N" >> out
      rmdir lock
    env: {N: "${{ payload.n }}"}
    concurrency: {key: one}
`)
	var ids []string
	var want strings.Builder
	for i := range 20 {
		a := r.push("/github", fmt.Sprint(i), "push", fmt.Sprintf(`{"n":%d}`, i))
		ids = append(ids, a.json.Jobs...)
		fmt.Fprintln(&want, i)
	}
	for _, id := range ids {
		if j := r.job(id); j.State != job.Succeeded {
			t.Errorf("job %s %s: %s", id, j.State, j.Reason)
		}
	}
	if got := read(t, filepath.Join(r.dir, "out")); got != want.String() {
		t.Errorf("order was %q", got)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRule_F9_AnErrorOfARuleRunsNothingAndIsKept has a condition that this payload does not fit.
func TestRule_F9_AnErrorOfARuleRunsNothingAndIsKept(t *testing.T) {
	r := start(t, `hooks:
  - name: site
    path: /github
    provider: github
    secret: `+secret+`
    rules:
      - {name: broken, match: payload.size > 5, run: ":"}
      - {name: sound, match: event == "push", run: ":"}
`)
	a := r.push("/github", "d1", "push", `{"size":"large"}`)
	if a.status != http.StatusAccepted || len(a.json.Jobs) != 1 {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	if j := r.job(a.json.Jobs[0]); j.Rule != "sound" || j.State != job.Succeeded {
		t.Errorf("%+v", j)
	}
	d, err := r.client.Delivery(t.Context(), a.json.Delivery)
	must(t, err)
	for _, v := range d.Rules {
		if v.Rule == "broken" && (v.Verdict != job.Error || !strings.Contains(v.Error, "cannot compare text with a number")) {
			t.Errorf("%+v", v)
		}
	}
	if only := r.push("/github", "d2", "ping", `{"size":"large"}`); only.status != http.StatusOK {
		t.Errorf("one that starts nothing is answered %d %s", only.status, only.body)
	}
	if !strings.Contains(r.log.String(), "rule not evaluated") {
		t.Error("the log says nothing")
	}
}
