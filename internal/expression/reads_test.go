package expression

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/request"
)

// readsEnough evaluates an expression with all of the payload and with no more than it says it reads.
func readsEnough(t *testing.T, p *Program, input func() *Input) {
	t.Helper()
	var reads Reads
	reads.Program(p)
	fields := reads.Payload()
	part := input()
	part.Wanted = &fields
	want, wantValues, wantErr := p.Explain(input())
	got, values, err := p.Explain(part)
	if diff := cmp.Diff(want, got) + cmp.Diff(wantValues, values); diff != "" || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Errorf("%s with %v of the payload: %v, %v; want -, got +:\n%s", p.source, fields, err, wantErr, diff)
	}
}

func TestReads_ArePathsOfThePayloadOrAllOfIt(t *testing.T) {
	type fields = request.Fields
	for _, tt := range []struct {
		expr         string
		want         fields
		git, commits bool
	}{
		{`event == "push"`, fields{}, false, false},
		{`payload.ref == "x" && payload.a.b`, fields{"ref": nil, "a": {"b": nil}}, false, false},
		{`payload["a"]?.b?.c`, fields{"a": {"b": {"c": nil}}}, false, false},
		{`payload.list[0].name`, fields{"list": nil}, false, false},
		{`payload.a.b + payload.a`, fields{"a": nil}, false, false},
		{`payload.a[payload.key].b`, fields{"a": nil, "key": nil}, false, false},
		{`any(payload.items, .name == payload.wanted)`, fields{"items": nil, "wanted": nil}, false, false},
		{`let x = payload.a.b; x.c`, fields{"a": {"b": nil}}, false, false},
		{`let x = payload; x.c`, nil, false, false},
		{`payload[event]`, nil, false, false},
		{`payload[0]`, nil, false, false},
		{`len(payload) > 1 && payload.a`, nil, false, false},
		{`[payload][0].a`, nil, false, false},
		{`{"a": payload}.a.b`, nil, false, false},
		{`(event == "x" ? payload : nil).a`, nil, false, false},
		{`branch == "main"`, fields{}, true, false},
		{`"a" in changed_files`, fields{}, true, true},
		{`len(commits)`, fields{}, true, true},
	} {
		var r Reads
		r.Program(mustCompile(t, tt.expr, Scope{}))
		if diff := cmp.Diff(tt.want, r.Payload()); diff != "" || r.Git != tt.git || r.Commits != tt.commits {
			t.Errorf("%s: git %v, commits %v, want -, got +:\n%s", tt.expr, r.Git, r.Commits, diff)
		}
	}
}
