package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The exact JSON is the interface: a renamed or lost field must fail here.
func TestAPI_AnswersInTheWordsOfTheInterface(t *testing.T) {
	const (
		push = `{"id":"019c0000-0000-7000-8000-000000000001","hook":"site","key":"k1","event":"push","received_at":"2026-01-02T11:59:00.123Z",` +
			`"outcome":"accepted","origin":"request","method":"POST","path":"/github","ip":"192.0.2.1","size":25,"secret":0,"config":"0123456789ab",` +
			`"jobs":["019c0000-0000-7000-8000-000000000011","019c0000-0000-7000-8000-000000000012"]`
		ping = `{"id":"019c0000-0000-7000-8000-000000000002","hook":"site","key":"k2","event":"ping","received_at":"2026-01-02T12:00:00.123Z",` +
			`"outcome":"ignored","origin":"request","method":"POST","path":"/github","ip":"192.0.2.1","size":0,"secret":-1,"config":"0123456789ab","jobs":[]}`
		failed = `{"id":"019c0000-0000-7000-8000-000000000011","delivery":"019c0000-0000-7000-8000-000000000001","hook":"site","rule":"deploy",` +
			`"state":"failed","reason":"exit status 1","attempt":2,"run_at":"2026-01-02T12:00:00.123Z","created_at":"2026-01-02T12:00:00.123Z",` +
			`"started_at":"2026-01-02T12:00:00.123Z","finished_at":"2026-01-02T12:00:01.123Z","exit_code":1,"error":"exit status 1",` +
			`"concurrency_key":"","superseded_by":"","replay_of":"","node":""`
		running = `{"id":"019c0000-0000-7000-8000-000000000012","delivery":"019c0000-0000-7000-8000-000000000001","hook":"site","rule":"announce",` +
			`"state":"running","reason":"","attempt":1,"run_at":"2026-01-02T12:00:00.123Z","created_at":"2026-01-02T12:00:00.123Z",` +
			`"started_at":"2026-01-02T12:00:00.123Z","finished_at":null,"exit_code":null,"error":"",` +
			`"concurrency_key":"","superseded_by":"","replay_of":"","node":""`
	)
	d := open(t, sample(), Options{})
	for path, want := range map[string]string{
		"deliveries": "[" + ping + "," + push + "}]",
		"deliveries/" + id(1): push + `,"query":"a=b","headers":{"Content-Type":["text/html"]},"withheld":["X-Hub-Signature-256"],"params":{},` +
			`"rules":[{"rule":"deploy","verdict":"match","error":"","match":"","values":[],"cut":false},{"rule":"announce","verdict":"error","error":"nil","match":"","values":[],"cut":false}],"held":null}`,
		"jobs": "[" + running + "}," + failed + "}]",
		"jobs/" + id(11): failed + `,"attempts":[` +
			`{"n":1,"started_at":"2026-01-02T12:00:00.123Z","finished_at":"2026-01-02T12:00:01.123Z","exit_code":null,"signal":"killed","status":0,"error":"","output":"first\n"},` +
			`{"n":2,"started_at":"2026-01-02T12:00:00.123Z","finished_at":"2026-01-02T12:00:01.123Z","exit_code":1,"signal":"","status":0,"error":"exit status 1","output":"se` + "\uFFFD" + `cond\n"}],"follow_ups":[],"reports":[]}`,
		"jobs/" + id(12): running + `,"attempts":[` +
			`{"n":1,"started_at":"2026-01-02T12:00:00.123Z","finished_at":null,"exit_code":null,"signal":"","status":0,"error":"","output":"so far\n"}],"follow_ups":[],"reports":[]}`,
		"hooks": `[{"name":"site","path":"/github","provider":"","scheme":"","methods":[],"max_body":0,"enabled":false,"open":false,"secrets":2,"paused":false,"rules":[]}]`,
		"status": `{"version":"v1","pid":7,"started_at":"2026-01-02T12:00:00.123Z","last_run_at":null,"gaps":[],"expected":[],"sources":[],"held":[],"listen":[],"store":"",` +
			`"config":{"files":[],"digest":"0123456789ab","loaded_at":null,"last_reload_at":null,"last_reload_ok":true,"problems":[],"needs_restart":[]},` +
			`"hooks":1,"node":"","fleet":false,"workers":0,"ready":true,"not_ready":"","jobs":{"queued":3,"running":1},"secrets":[],"paused":[],"traffic":{"outcomes":{},"refused":{},"last_at":null,"ack":null},"streams":0}`,
	} {
		t.Run(path, func(t *testing.T) {
			got := d.ask("GET", prefix+path)
			if diff := cmp.Diff(want+"\n", got.body); diff != "" || got.status != 200 {
				t.Errorf("%d (-want +got):\n%s", got.status, diff)
			}
			if ct := got.header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("Content-Type %q", ct)
			}
		})
	}
}

func TestAPI_EveryAnswerIsHardened(t *testing.T) {
	d := open(t, sample(), Options{})
	for _, path := range []string{"/healthz", "/nowhere", prefix + "jobs", prefix + "jobs?x=1", prefix + "deliveries/" + id(1) + "/body"} {
		h := d.ask("GET", path).header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if cors := h.Get("Access-Control-Allow-Origin"); cors != "" {
			t.Errorf("%s: allows origin %q", path, cors)
		}
	}
}

func TestAPI_BodyIsExactAndNeverAPage(t *testing.T) {
	d := open(t, sample(), Options{})
	got := d.ask("GET", prefix+"deliveries/"+id(1)+"/body")
	if got.body != "<script>alert(1)</script>" {
		t.Errorf("body %q", got.body)
	}
	if ct, cd := got.header.Get("Content-Type"), got.header.Get("Content-Disposition"); ct != "application/octet-stream" || !strings.HasPrefix(cd, "attachment;") {
		t.Errorf("Content-Type %q, Content-Disposition %q", ct, cd)
	}
}

func TestAPI_Output(t *testing.T) {
	b := sample()
	b.jobs = append(b.jobs, job.Job{ID: id(10), State: job.Queued})
	d := open(t, b, Options{})
	for _, tt := range []struct {
		name, path, body, state, attempt string
		status                           int
	}{
		{"last attempt, exact bytes", id(11) + "/output", "se\xffcond\n", "failed", "2", 200},
		{"named attempt", id(11) + "/output?attempt=1", "first\n", "failed", "1", 200},
		{"running attempt, live", id(12) + "/output", "so far\n", "running", "1", 200},
		{"not started", id(10) + "/output", "", "queued", "0", 200},
		{"no such attempt", id(11) + "/output?attempt=3", "", "", "", 404},
		{"attempt that is no number", id(11) + "/output?attempt=last", "", "", "", 400},
		{"no such job", id(99) + "/output", "", "", "", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := d.ask("GET", prefix+"jobs/"+tt.path)
			if got.status != tt.status {
				t.Fatalf("status %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status != 200 {
				return
			}
			if got.body != tt.body || got.header.Get(headerState) != tt.state || got.header.Get(headerAttempt) != tt.attempt {
				t.Errorf("got %q, state %q, attempt %q", got.body, got.header.Get(headerState), got.header.Get(headerAttempt))
			}
		})
	}
}

func TestAPI_FiltersReachTheStore(t *testing.T) {
	d := open(t, sample(), Options{now: func() time.Time { return noon }})
	got := d.ask("GET", prefix+"deliveries?hook=site&rule=deploy&state=failed&event=push&outcome=accepted&since=24h&until=2026-01-02T11:00:00%2B01:00&limit=7&cursor="+id(5))
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	want := store.Filter{
		Hook: "site", Rule: "deploy", State: job.Failed, Event: "push", Outcome: job.Accepted, Cursor: id(5), Limit: 7,
		Since: noon.Add(-24 * time.Hour), Until: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, d.filter); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
	d.ask("GET", prefix+"jobs?delivery="+id(1))
	if diff := cmp.Diff(store.Filter{Delivery: id(1), Limit: 50}, d.filter); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
}

func TestAPI_PagesAreLinkedUntilTheLast(t *testing.T) {
	b := &fake{}
	for n := 5; n > 0; n-- {
		b.deliveries = append(b.deliveries, job.Delivery{ID: id(n)})
	}
	d := open(t, b, Options{})
	var seen []string
	path := prefix + "deliveries?limit=2&since=2026-01-01T00:00:00Z"
	for path != "" {
		got := d.ask("GET", path)
		for n := 1; n <= 5; n++ {
			if strings.Contains(got.body, id(n)) {
				seen = append(seen, id(n))
			}
		}
		link, rel, _ := strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
		if path = link; path != "" && (rel != `; rel="next"` || !strings.Contains(path, "since=")) {
			t.Fatalf("Link %q", got.header.Get("Link"))
		}
	}
	if want := []string{id(4), id(5), id(2), id(3), id(1)}; !cmp.Equal(want, seen) {
		t.Errorf("saw %v, want %v", seen, want)
	}
}

func TestAPI_RefusesWhatItDoesNotKnow(t *testing.T) {
	d := open(t, sample(), Options{})
	for _, tt := range []struct {
		name, method, path, body, ctype string
		status                          int
		detail                          string
	}{
		{"unknown parameter", "GET", "jobs?hooks=site", "", "", 400, `unknown query parameter \"hooks\"`},
		{"parameter of another list", "GET", "jobs?outcome=accepted", "", "", 400, "outcome"},
		{"parameter where none is taken", "GET", "status?token=x", "", "", 400, "none is taken here"},
		{"parameter twice", "GET", "jobs?hook=a&hook=b", "", "", 400, "more than once"},
		{"broken query", "GET", "jobs?hook=%zz", "", "", 400, "cannot be read"},
		{"semicolon in the query", "GET", "jobs?hook=a;b", "", "", 400, "cannot be read"},
		{"limit 0", "GET", "jobs?limit=0", "", "", 400, "from 1 to 500"},
		{"limit too large", "GET", "jobs?limit=501", "", "", 400, "from 1 to 500"},
		{"limit not a number", "GET", "jobs?limit=many", "", "", 400, "from 1 to 500"},
		{"state unknown", "GET", "jobs?state=done", "", "", 400, "state must be one of scheduled, queued"},
		{"outcome unknown", "GET", "deliveries?outcome=ok", "", "", 400, "outcome must be one of"},
		{"since unreadable", "GET", "jobs?since=yesterday", "", "", 400, "since: "},
		{"cursor no id", "GET", "jobs?cursor=%27OR%201=1", "", "", 400, "cursor is not an id"},
		{"job no id", "GET", "jobs/..%2f..", "", "", 404, "not found"},
		{"id in another spelling", "GET", "jobs/{019C0000-0000-7000-8000-000000000011}", "", "", 404, "not found"},
		{"unknown path", "GET", "tokens", "", "", 404, ""},
		{"unknown method", "DELETE", "jobs/" + id(11), "", "", 405, ""},
		{"changing by GET", "GET", "jobs/" + id(11) + "/retry", "", "", 405, ""},
		{"changing with a query", "POST", "reload?force=1", "", "", 400, "force"},
		{"changing with a form", "POST", "reload", "a=b", "application/x-www-form-urlencoded", 415, "application/json"},
		{"changing with unknown fields", "POST", "reload", `{"force":true}`, "application/json", 400, "must be empty or {}"},
		{"changing with broken JSON", "POST", "reload", `{}{}`, "application/json", 400, "must be empty or {}"},
		{"changing with a large body", "POST", "reload", strings.Repeat(" ", maxBody+1), "application/json", 413, "too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.ctype != "" {
				header = []string{"Content-Type: " + tt.ctype}
			}
			got := d.send(tt.method, prefix+tt.path, tt.body, header...)
			if got.status != tt.status || !strings.Contains(got.body, tt.detail) {
				t.Errorf("got %d %s; want %d with %q", got.status, got.body, tt.status, tt.detail)
			}
			if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type %q", ct)
			}
			if want := fmt.Sprintf(`"status":%d`, tt.status); !strings.Contains(got.body, want) {
				t.Errorf("body %s has no %s", got.body, want)
			}
		})
	}
	if changes := d.seen(); changes != nil {
		t.Errorf("changed: %v", changes)
	}
}

func TestAPI_ErrorsOfTheBackend(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		body   string
	}{
		{fmt.Errorf("retry: %w", store.ErrFenced), 409, "job has moved on"},
		{fmt.Errorf("write: disk full: %w", store.ErrUnavailable), 503, "the store cannot be used now"},
		{fmt.Errorf("secret-laden /srv/x.db: broken"), 500, "Internal Server Error"},
	} {
		b := sample()
		b.err = tt.err
		d := open(t, b, Options{})
		for _, ask := range [][2]string{{"GET", "jobs"}, {"GET", "deliveries"}, {"GET", "jobs/" + id(11)}, {"POST", "jobs/" + id(11) + "/retry"}, {"POST", "jobs/" + id(11) + "/cancel"}, {"POST", "reload"}} {
			got := d.ask(ask[0], prefix+ask[1])
			if got.status != tt.status || !strings.Contains(got.body, tt.body) || strings.Contains(got.body, "secret-laden") {
				t.Errorf("%s: %v answered as %d %s", ask, tt.err, got.status, got.body)
			}
			if after := got.header.Get("Retry-After"); (after != "") != (tt.status == 503) {
				t.Errorf("%s: Retry-After %q with %d", ask, after, got.status)
			}
		}
		if tt.status == 500 && !strings.Contains(d.log.String(), "secret-laden") {
			t.Error("an unknown error was not logged")
		}
	}
}

func TestAPI_ChangesAreDoneAndWrittenDown(t *testing.T) {
	d := open(t, sample(), Options{})
	if got := d.ask("POST", prefix+"jobs/"+id(11)+"/retry"); got.status != 200 || !strings.Contains(got.body, `"state":"queued"`) {
		t.Errorf("retry: %d %s", got.status, got.body)
	}
	if got := d.send("POST", prefix+"jobs/"+id(12)+"/cancel", "{}", "Content-Type: application/json"); got.status != 204 {
		t.Errorf("cancel: %d %s", got.status, got.body)
	}
	if got := d.ask("POST", prefix+"jobs/"+id(99)+"/cancel"); got.status != 404 {
		t.Errorf("cancel of no job: %d %s", got.status, got.body)
	}
	if got := d.ask("POST", prefix+"reload"); got.body != `{"changed":true,"digest":"0123456789ab","problems":[],"needs_restart":["server.listen"]}`+"\n" {
		t.Errorf("reload: %d %s", got.status, got.body)
	}
	if want := []string{"retry " + id(11), "cancel " + id(12), "reload"}; !cmp.Equal(want, d.seen()) {
		t.Errorf("changes %v, want %v", d.seen(), want)
	}
	by := fmt.Sprintf(`by="uid %d"`, uid())
	for _, want := range []string{
		"msg=audit action=retry id=" + id(11) + " " + by,
		"msg=audit action=cancel id=" + id(12) + " " + by,
		"msg=audit action=cancel id=" + id(99) + " " + by,
		`msg=audit action=reload id="" ` + by,
	} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("no line with %s in\n%s", want, d.log)
		}
	}
}

func TestAPI_ReloadWithProblemsIsRefusedAndShowsThem(t *testing.T) {
	b := sample()
	b.reload = ReloadResult{Digest: "0123456789ab", Problems: []config.Diagnostic{diagnostic(config.Problem), diagnostic(config.Warning)}}
	d := open(t, b, Options{})
	got := d.ask("POST", prefix+"reload")
	want := `{"title":"Unprocessable Entity","status":422,"detail":"the configuration has problems, nothing was changed","problems":[` +
		`{"severity":"problem","file":"hooks.yaml","line":4,"column":14,"message":"unknown name \"boddy\"","hints":["did you mean \"body\"?"],"source":""},` +
		`{"severity":"warning","file":"hooks.yaml","line":4,"column":14,"message":"unknown name \"boddy\"","hints":["did you mean \"body\"?"],"source":""}]}` + "\n"
	if diff := cmp.Diff(want, got.body); diff != "" || got.status != http.StatusUnprocessableEntity {
		t.Errorf("%d (-want +got):\n%s", got.status, diff)
	}

	b.reload.Problems = b.reload.Problems[1:]
	if got := d.ask("POST", prefix+"reload"); got.status != 200 {
		t.Errorf("with a warning only: %d %s", got.status, got.body)
	}
}

func TestHealth(t *testing.T) {
	b := sample()
	d := open(t, b, Options{Token: []byte("t0ken"), Metrics: http.NotFoundHandler()})
	// A probe has no token, and names the address it probes.
	if got := d.ask("GET", "/healthz", "Host: 10.1.2.3:9001"); got.status != 200 || got.body != "ok\n" {
		t.Errorf("healthz: %d %q", got.status, got.body)
	}
	if got := d.ask("GET", "/readyz", "X-Forwarded-For: 192.0.2.1"); got.status != 200 || got.body != "ready\n" {
		t.Errorf("readyz: %d %q", got.status, got.body)
	}
	b.ready = fmt.Errorf("disk full: %w", store.ErrUnavailable)
	if got := d.ask("GET", "/readyz"); got.status != 503 || got.body != "not ready: disk full: store unavailable\n" {
		t.Errorf("readyz: %d %q", got.status, got.body)
	}
	if got := d.ask("GET", "/healthz"); got.status != 200 {
		t.Errorf("healthz of a daemon that is not ready: %d", got.status)
	}
}

func TestMetrics_NeedWhatTheAPINeeds(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	d := open(t, sample(), Options{Token: []byte("t0ken"), Metrics: metrics})
	if got := d.ask("GET", "/metrics"); got.status != 401 {
		t.Errorf("without a token: %d", got.status)
	}
	if got := d.ask("GET", "/metrics", "Authorization: Bearer t0ken"); got.status != 200 || got.body != "up 1\n" {
		t.Errorf("with a token: %d %q", got.status, got.body)
	}
	if got := open(t, sample(), Options{}).ask("GET", "/metrics"); got.status != 404 {
		t.Errorf("without metrics: %d", got.status)
	}
}
