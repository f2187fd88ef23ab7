package codec

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/job"
)

func TestTrace_ComesBackAsItWas(t *testing.T) {
	value := func(expr, value, err string) job.RuleValue {
		return job.RuleValue{Expr: expr, Value: json.RawMessage(value), Error: err}
	}
	want := []job.RuleVerdict{
		{Rule: "always", Verdict: job.Match},
		{Rule: "deploy", Verdict: job.NoMatch, Match: `event == "push" && any(list, # == "ü")`, Values: []job.RuleValue{
			value("event", `"push"`, ""), value(`event == "push"`, "true", ""), value("list[3]", `"x"`, ""), value(`# == "ü"`, "false", ""),
			value("list", "null", ""), value("", "1.50", ""),
		}},
		{Rule: "broken", Verdict: job.Error, Error: "no", Match: "a > b", Values: []job.RuleValue{value("a > b", "null", "cannot compare")}, Cut: true},
	}
	got := []job.RuleVerdict{{Rule: "always", Verdict: job.Match}, {Rule: "deploy", Verdict: job.NoMatch}, {Rule: "broken", Verdict: job.Error, Error: "no"}}
	encoded := EncodeTrace(want)
	if err := DecodeTrace(encoded, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if text, _ := json.Marshal(want); len(encoded)*2 > len(text) {
		t.Errorf("%d bytes, as JSON %d", len(encoded), len(text))
	}
	if got := EncodeTrace([]job.RuleVerdict{{Rule: "always", Verdict: job.Match}}); got != nil {
		t.Errorf("no values are %q", got)
	}
}

func FuzzDecodeTrace(f *testing.F) {
	f.Add(EncodeTrace([]job.RuleVerdict{{Match: "a == b", Values: []job.RuleValue{{Expr: "a", Value: json.RawMessage(`[1]`)}, {Expr: "z", Error: "e"}}}}), 1)
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 2)
	f.Fuzz(func(t *testing.T, damaged []byte, n int) {
		verdicts := make([]job.RuleVerdict, max(0, min(n, 100)))
		if DecodeTrace(damaged, verdicts) != nil {
			return
		}
		again := make([]job.RuleVerdict, len(verdicts))
		if err := DecodeTrace(EncodeTrace(verdicts), again); err != nil && EncodeTrace(verdicts) != nil {
			t.Error(err)
		}
	})
}
