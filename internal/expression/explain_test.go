package expression

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExplain_ShowsWhatWasEvaluatedAndWhatItCameTo(t *testing.T) {
	bob := map[string]any{"author": "bob", "modified": []any{"b.md", "src/c.go"}, "ok": false}
	for _, tt := range []struct {
		expr string
		want []Value
	}{
		{`event == "push" && branch == "dev"`, []Value{
			{Expr: `event`, Value: "push"},
			{Expr: `event == "push"`, Value: true},
			{Expr: `branch`, Value: "main"},
			{Expr: `branch == "dev"`, Value: false},
		}},
		{`event == "ping" && branch == "dev"`, []Value{ // the second side was not evaluated
			{Expr: `event`, Value: "push"}, {Expr: `event == "ping"`, Value: false},
		}},
		{`event  ==  'push' or tag != ""`, []Value{
			{Expr: `event`, Value: "push"}, {Expr: `event  ==  'push'`, Value: true},
		}},
		{`not (branch == "x") && !payload.nope`, []Value{
			{Expr: `not (branch == "x")`, Value: true},
			{Expr: `branch`, Value: "main"},
			{Expr: `branch == "x"`, Value: false},
			{Expr: `!payload.nope`, Value: true},
			{Expr: `payload.nope`, Value: nil},
		}},
		{`payload.yes`, []Value{{Expr: `payload.yes`, Value: true}}},
		{`payload.n + 1 > len(payload.list) * 2`, []Value{
			{Expr: `payload.n`, Value: int64(5)},
			{Expr: `payload.n + 1`, Value: int64(6)},
			{Expr: `payload.n + 1 > len(payload.list) * 2`, Value: true},
			{Expr: `len(payload.list)`, Value: int64(2)},
			{Expr: `len(payload.list) * 2`, Value: int64(4)},
			{Expr: `payload.list`, Value: []any{"a", "b"}},
		}},
		{`glob("ma*", branch) and payload.ref matches "^refs/tags/"`, []Value{
			{Expr: `glob("ma*", branch)`, Value: true},
			{Expr: `branch`, Value: "main"},
			{Expr: `payload.ref`, Value: "refs/heads/main"},
			{Expr: `payload.ref matches "^refs/tags/"`, Value: false},
		}},
		{`any(payload.list, # == "b")`, []Value{
			{Expr: `any(payload.list, # == "b")`, Value: true},
			{Expr: `payload.list`, Value: []any{"a", "b"}},
			{Expr: `payload.list[1]`, Value: "b"},
			{Expr: `# == "b"`, Value: true},
		}},
		{`any(payload.list, # == "z")`, []Value{ // no element decided
			{Expr: `any(payload.list, # == "z")`, Value: false}, {Expr: `payload.list`, Value: []any{"a", "b"}},
		}},
		{`all(payload.list, # != "b")`, []Value{
			{Expr: `all(payload.list, # != "b")`, Value: false},
			{Expr: `payload.list`, Value: []any{"a", "b"}},
			{Expr: `payload.list[1]`, Value: "b"},
			{Expr: `# != "b"`, Value: false},
		}},
		{`one(payload.list, # == "a")`, []Value{
			{Expr: `one(payload.list, # == "a")`, Value: true}, {Expr: `payload.list`, Value: []any{"a", "b"}}, {Expr: `payload.list[0]`, Value: "a"},
		}},
		{`find(filter(payload.list, true), # == "b") == "b"`, []Value{
			{Expr: `find(filter(payload.list, true), # == "b")`, Value: "b"},
			{Expr: `find(filter(payload.list, true), # == "b") == "b"`, Value: true},
			{Expr: `filter(payload.list, true)`, Value: []any{"a", "b"}},
			{Expr: `(filter(payload.list, true))[1]`, Value: "b"},
			{Expr: `payload.list`, Value: []any{"a", "b"}},
			{Expr: `# == "b"`, Value: true},
		}},
		{`any(payload.commits, .ok || any(.modified, # endsWith "c.go"))`, []Value{
			{Expr: `any(payload.commits, .ok || any(.modified, # endsWith "c.go"))`, Value: true},
			{Expr: `payload.commits`, Value: []any{map[string]any{"author": "ann", "modified": []any{"a.go"}, "ok": true}, bob, map[string]any{"author": "cy"}}},
			{Expr: `payload.commits[0]`, Value: map[string]any{"author": "ann", "modified": []any{"a.go"}, "ok": true}},
			{Expr: `.ok`, Value: true},
			{Expr: `.ok || any(.modified, # endsWith "c.go")`, Value: true},
		}},
		{`any(payload.commits, any(.modified, # endsWith "c.go"))`, []Value{
			{Expr: `any(payload.commits, any(.modified, # endsWith "c.go"))`, Value: true},
			{Expr: `payload.commits`, Value: []any{map[string]any{"author": "ann", "modified": []any{"a.go"}, "ok": true}, bob, map[string]any{"author": "cy"}}},
			{Expr: `payload.commits[1]`, Value: bob},
			{Expr: `any(.modified, # endsWith "c.go")`, Value: true},
			{Expr: `.modified`, Value: []any{"b.md", "src/c.go"}},
			{Expr: `.modified[1]`, Value: "src/c.go"},
			{Expr: `# endsWith "c.go"`, Value: true},
		}},
		{`event == "push" && payload.s > 1 && branch == "x"`, []Value{
			{Expr: `event`, Value: "push"},
			{Expr: `event == "push"`, Value: true},
			{Expr: `payload.s`, Value: "text"},
			{Expr: `payload.s > 1`, Error: "cannot compare text with a number"},
		}},
		{`payload.n > 9 ? payload.yes : payload.no`, []Value{
			{Expr: `payload.n`, Value: int64(5)}, {Expr: `payload.n > 9`, Value: false}, {Expr: `payload.no`, Value: false},
		}},
		{`let x = payload.n; x > 1 && x < 3`, []Value{
			{Expr: `payload.n`, Value: int64(5)}, {Expr: `x`, Value: int64(5)}, {Expr: `x > 1`, Value: true}, {Expr: `x < 3`, Value: false},
		}},
		{`payload.n not in [1, 5] and event == "x"`, []Value{
			{Expr: `payload.n`, Value: int64(5)}, {Expr: `payload.n not in [1, 5]`, Value: false},
		}},
		{`1 < payload.n < 3`, []Value{
			{Expr: `1 < payload.n`, Value: true}, {Expr: `payload.n`, Value: int64(5)}, {Expr: `payload.n < 3`, Value: false},
		}},
		{`true`, []Value{}},
	} {
		t.Run(tt.expr, func(t *testing.T) {
			_, got, _ := mustCompile(t, tt.expr, Scope{}).Explain(input(sample)) // what cannot be evaluated is shown
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestExplain_IsBoundedJSON(t *testing.T) {
	long := strings.Repeat("ü", 10_000)
	body := `{"s":"` + long + `","l":[` + strings.Repeat(`"0123456789",`, 5000) + `1],"n":1.50,"h":123456789012345678901234567890}`
	p := mustCompile(t, `payload.s != "" && len(payload) > 1 && payload.n > 1 && payload.h > 1 && age("2026-01-01T00:00:00Z") > duration("1s") && now() > date("2020-01-01") && "x" in headers && all(payload.l, # != 1)`, Scope{})
	_, values, err := p.Explain(input(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(values) < 10 {
		t.Fatalf("got %v", values)
	}
	for _, v := range values {
		out := v.JSON(400, nil, 0)
		if len(out) > 2*400+10 {
			t.Errorf("%s: %d bytes", v.Expr, len(out))
		}
		if !json.Valid(out) {
			t.Errorf("%s: %s is no JSON", v.Expr, out)
		}
	}
}

func TestExplain_IsBoundedInTime(t *testing.T) {
	p := mustCompile(t, strings.TrimSuffix(strings.Repeat(`all(payload, all(payload, # < 9)) && `, 50), " && "), Scope{})
	in := input("[" + strings.Repeat("1,", 5000) + "1]")
	began := time.Now()
	_, values, _ := p.Explain(in)
	if took := time.Since(began); took > farTooLong {
		t.Errorf("took %s", took)
	}
	if !slices.ContainsFunc(values, func(v Value) bool { return v.Error != "" }) {
		t.Error("that it ended early is not shown")
	}
}

func TestValue_IsWrittenAsJSON(t *testing.T) {
	hide := strings.NewReplacer("s3cret", "[redacted]", "1234567", "[redacted]").Replace
	for _, tt := range []struct {
		value any
		limit int
		want  string
	}{
		{nil, 99, `null`},
		{[]any{int64(1), "a"}, 99, `[1,"a"]`},
		{time.Minute, 99, `"1m0s"`},
		{headerMap{"X-A": {"1"}}, 99, `{"x-a":"1"}`},
		{strings.Repeat("x", 20), 10, `"xxxxxxxxxx…"`},
		{"zü…", 2, `"z…"`},
		{[]any{"aaaa", "bbbb"}, 8, `"[\"aaaa\",…"`},
		{make(chan int), 99, `"a value of another kind…"`},
		{"my s3cret!", 99, `"my [redacted]!"`},
		{"12345 s3cret", 9, `"12345 [re…"`}, // what is hidden is whole before it is cut
		{[]any{map[string]any{"k": "s3cret"}}, 99, `[{"k":"[redacted]"}]`},
		{[]any{"ab", "s3cret"}, 12, `"[\"ab\",\"[reda…"`},
		{int64(1234567), 99, `"[redacted]"`},
	} {
		if got := (Value{Value: tt.value}).JSON(tt.limit, hide, 7); string(got) != tt.want || !json.Valid(got) {
			t.Errorf("%v: got %s, want %s", tt.value, got, tt.want)
		}
	}
}

// What is decided must not depend on whether it is explained.
func TestExplain_ComesToTheSame(t *testing.T) {
	for _, expr := range []string{
		`payload.s > 1`, `payload.n`, `any(payload.list, # == "b")`, `payload.yes && !payload.no`, `len(payload.list) + 1`,
		`1 < payload.n < 9`, `map(payload.list, # + "x")`, `payload?.a?.b ?? 1`, `let x = payload.n; x > 1 ? "a" : nil`, `event in ["push"] and branch not in [1]`,
		`all(1..900, # > 0)`, `reduce(1..10, #acc + #, 0)`, `payload.list[9]`, `one(payload.list, # != "q")`, `payload && true`,
	} {
		p, err := Compile(expr, Scope{})
		if err != nil {
			continue
		}
		want, wantErr := p.Value(input(sample))
		got, _, gotErr := p.Explain(input(sample))
		if timedOut(wantErr) || timedOut(gotErr) {
			continue // a busy machine took its 50 ms
		}
		if diff := cmp.Diff(want, got); diff != "" || (wantErr == nil) != (gotErr == nil) {
			t.Errorf("%s: %v and %v, want -, got +:\n%s", expr, wantErr, gotErr, diff)
		}
	}
}

func timedOut(err error) bool { return err != nil && strings.Contains(err.Error(), errTime.Error()) }
