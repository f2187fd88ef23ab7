package hook

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

func TestReads_AreThoseOfConditionsKeysLetsAndFactsOfAPush(t *testing.T) {
	for _, tt := range []struct {
		name, hook string
		want       request.Fields
	}{
		{"nothing", `{verify: none, run: ":"}`, request.Fields{}},
		{"an action is rendered later", `{verify: none, exec: [echo, "${{ payload.x }}"]}`, request.Fields{}},
		{
			"keys", `{verify: none, run: ":", match: payload.m, concurrency: {key: "${{ payload.c }}"}, once: {key: "${{ payload.o }}", window: 1h},
			sequence: {key: "${{ payload.s }}", by: payload.b}, debounce: {key: "${{ payload.d }}", quiet: 1s}, priority: payload.p}`,
			request.Fields{"m": nil, "c": nil, "o": nil, "s": nil, "b": nil, "d": nil, "p": nil},
		},
		{"rates", `{verify: none, run: ":", rate_limit: {key: "${{ payload.r.x }}", limit: 1, per: 1h}}`, request.Fields{"r": {"x": nil}}},
		{"pace", `{verify: none, run: ":", throttle: {key: "${{ payload.t }}", limit: 1, per: 1h}}`, request.Fields{"t": nil}},
		{"values", `{verify: none, run: ":", let: {a: payload.a.b, b: a.c}, match: b == 1}`, request.Fields{"a": {"b": nil}}},
		{"a branch", `{provider: github, secret: 0123456789abcdef, run: ":", match: branch == "main"}`, request.Fields{
			"ref": nil, "after": nil, "repository": {"full_name": nil}, "sender": {"login": nil}, "pusher": {"name": nil},
		}},
		{"everything", `{verify: none, run: ":", match: len(payload) > 1}`, nil},
	} {
		h := compiled(t, "[{name: site, path: /x, "+tt.hook[1:]+"]").Hook("site")
		if diff := cmp.Diff(tt.want, *h.wanted); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", tt.name, diff)
		}
	}
}

func TestTry_ReadsWhatTheOtherConditionReads(t *testing.T) {
	h := compiled(t, `[{name: site, path: /x, verify: none, run: ":", match: payload.a == 1}]`).Hook("site")
	tried, err := h.Try("site", "payload.b == 2")
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := tried.Plan(posted("/x", `{"a":0,"b":2}`), Identity{}, &job.Delivery{})
	if err != nil || len(jobs) != 1 {
		t.Error(jobs, err)
	}
}
