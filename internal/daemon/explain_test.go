package daemon_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestExplain_TriesAConditionOnWhatReallyArrived(t *testing.T) {
	r := start(t, `
hooks:
  - name: pay
    path: /pay/{shop}
    provider: github
    secret: `+secret+`
    let: {big: payload.amount > 100}
    rules:
      - {name: book, match: 'event == "paid"', run: 'true', env: {TOKEN: not-to-be-shown-0123456789}}
      - {name: other, run: 'true'}
`)
	delivery := r.push("/pay/x", "1", "paid", `{"amount":7}`).json.Delivery
	explain := func(q admin.ExplainRequest) ([]string, error) {
		x, err := r.client.Explain(t.Context(), q)
		var got []string
		for _, rule := range x.Rules {
			got = append(got, rule.Rule+" "+string(rule.Verdict))
		}
		return got, err
	}
	expect := func(what string, q admin.ExplainRequest, want string) {
		t.Helper()
		if got, err := explain(q); err != nil || strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	text := func(s string) *string { return &s }
	expect("stored", admin.ExplainRequest{Delivery: delivery}, "book match, other match")
	expect("with another condition", admin.ExplainRequest{Delivery: delivery, Rule: "book", Match: text("big")}, "book no_match")
	expect("a condition that fails", admin.ExplainRequest{Delivery: delivery, Rule: "book", Match: text(`payload.amount startsWith "x"`)}, "book error")
	body := `{"amount":700}`
	written := &request.File{URL: "/pay/y", Headers: map[string]request.Values{"X-GitHub-Event": {"paid"}, "Content-Type": {"application/json"}}, Body: &body}
	expect("a request", admin.ExplainRequest{Request: written, Rule: "book", Match: text("big && params.shop == 'y'")}, "book match")

	x, err := r.client.Explain(t.Context(), admin.ExplainRequest{Request: written, Rule: "book", Match: text("big")})
	must(t, err)
	if len(x.Rules[0].Values) == 0 || x.Verified {
		t.Errorf("%+v", x)
	}
	jobs, _, err := r.client.Jobs(t.Context(), store.Filter{Limit: 10})
	must(t, err)
	if len(jobs) != 2 {
		t.Errorf("explaining made jobs: %+v", jobs)
	}

	for _, c := range []struct {
		q    admin.ExplainRequest
		want string
	}{
		{admin.ExplainRequest{}, "either delivery or request"},
		{admin.ExplainRequest{Delivery: "x"}, "not an id"},
		{admin.ExplainRequest{Delivery: job.NewID()}, "not found"},
		{admin.ExplainRequest{Delivery: delivery, Match: text("true")}, "match and rule go together"},
		{admin.ExplainRequest{Delivery: delivery, Rule: "nope", Match: text("true")}, `hook "pay" has no rule "nope"`},
		{admin.ExplainRequest{Delivery: delivery, Hook: "nope"}, `hook "nope" is not configured`},
		{admin.ExplainRequest{Delivery: delivery, Rule: "book", Match: text(strings.Repeat("x", 5000))}, "too long"},
		{admin.ExplainRequest{Request: &request.File{URL: "/elsewhere"}}, `no hook has the path "/elsewhere"`},
	} {
		if _, err := explain(c.q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
	_, err = explain(admin.ExplainRequest{Delivery: delivery, Rule: "book", Match: text("event == boddy")})
	var problem *admin.Problem
	if !errors.As(err, &problem) || problem.Status != 422 || len(problem.Problems) != 1 || problem.Problems[0].Column != 10 {
		t.Errorf("a condition that is wrong: %+v", err)
	}
}
