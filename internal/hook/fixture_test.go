package hook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

var received = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// compiled makes the set of a `hooks:` list, which must have no problems.
func compiled(t testing.TB, hooks string) *Set {
	t.Helper()
	return compiledWith(t, config.Options{}, hooks)
}

func compiledWith(t testing.TB, o config.Options, hooks string) *Set {
	t.Helper()
	file, d := config.Parse(t.TempDir()+"/hooks.yaml", []byte("hooks:"+strings.TrimSuffix(" "+hooks, "\n")+"\n"), o)
	if d.Err() != nil {
		t.Fatal(d)
	}
	set := Compile(file.Root.Find("hooks"), Context{Dir: t.TempDir(), Digest: "digest"}, d)
	if d.Err() != nil {
		var text strings.Builder
		d.Print(&text, false)
		t.Fatal(text.String())
	}
	return set
}

func posted(path, body string, header ...string) *request.Request {
	r := &request.Request{Method: "POST", Path: path, Body: []byte(body), Header: http.Header{"Content-Type": {"application/json"}}, ReceivedAt: received}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// planned plans a request to the only hook, after giving it its identity.
func planned(t *testing.T, hooks string, r *request.Request) (*job.Delivery, []job.Job) {
	t.Helper()
	return plannedWith(t, config.Options{}, hooks, r)
}

func plannedWith(t testing.TB, o config.Options, hooks string, r *request.Request) (*job.Delivery, []job.Job) {
	t.Helper()
	h, params := compiledWith(t, o, hooks).Lookup(r.Path)
	if h == nil {
		t.Fatalf("no hook has the path %s", r.Path)
	}
	r.Params, r.Format = params, h.Format
	whole := *r
	id, err := h.Identify(r)
	if err != nil {
		t.Fatal(err)
	}
	d := &job.Delivery{ID: "delivery", ReceivedAt: received}
	jobs, err := h.Plan(r, id, d)
	if err != nil {
		t.Fatal(err)
	}
	asOfTheWhole(t, h, &whole, id, d, jobs)
	return d, jobs
}

// asOfTheWhole holds a plan to what it is when all of the payload is made.
func asOfTheWhole(t testing.TB, h *Hook, r *request.Request, id Identity, d *job.Delivery, jobs []job.Job) {
	t.Helper()
	all := *h
	all.wanted = nil
	again := &job.Delivery{ID: d.ID, ReceivedAt: d.ReceivedAt}
	same, err := all.Plan(r, id, again)
	for i := range min(len(same), len(jobs)) {
		same[i].ID = jobs[i].ID
	}
	if diff := cmp.Diff(again.Verdicts, d.Verdicts) + cmp.Diff(same, jobs); diff != "" || err != nil {
		t.Errorf("the plan is another one with the whole payload, %v: -, without +:\n%s", err, diff)
	}
}
