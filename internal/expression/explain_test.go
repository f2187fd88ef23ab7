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
		{`true`, nil},
	} {
		t.Run(tt.expr, func(t *testing.T) {
			got := mustCompile(t, tt.expr, Scope{}).Explain(input(sample))
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
	values := p.Explain(input(body))
	if len(values) < 10 {
		t.Fatalf("got %v", values)
	}
	for _, v := range values {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%s: %v", v.Expr, err)
		}
		if len(out) > 2*maxShown+2*maxExpr {
			t.Errorf("%s: %d bytes", v.Expr, len(out))
		}
		var back struct {
			Expr  string
			Value any
		}
		if err := json.Unmarshal(out, &back); err != nil || back.Expr != v.Expr {
			t.Errorf("%s: %v", out, err)
		}
	}
}

func TestExplain_IsBoundedInTime(t *testing.T) {
	p := mustCompile(t, strings.TrimSuffix(strings.Repeat(`all(payload, all(payload, # < 9)) && `, 50), " && "), Scope{})
	in := input("[" + strings.Repeat("1,", 5000) + "1]")
	began := time.Now()
	values := p.Explain(in)
	if took := time.Since(began); took > farTooLong {
		t.Errorf("took %s", took)
	}
	if !slices.ContainsFunc(values, func(v Value) bool { return v.Error != "" }) {
		t.Error("that it ended early is not shown")
	}
}

func TestValue_IsWrittenAsJSON(t *testing.T) {
	for _, tt := range []struct {
		value Value
		want  string
	}{
		{Value{Expr: "x", Value: nil}, `{"expr":"x","value":null}`},
		{Value{Expr: "x", Value: []any{int64(1), "a"}}, `{"expr":"x","value":[1,"a"]}`},
		{Value{Expr: "x", Value: time.Minute}, `{"expr":"x","value":"1m0s"}`},
		{Value{Expr: "x", Value: headerMap{"X-A": {"1"}}}, `{"expr":"x","value":{"x-a":"1"}}`},
		{Value{Expr: "x", Error: "no"}, `{"expr":"x","value":null,"error":"no"}`},
		{Value{Expr: "x", Value: bounded(strings.Repeat("x", 20), 10)}, `{"expr":"x","value":"\"xxxxxxxxx…"}`},
		{Value{Expr: "x", Value: make(chan int)}, `{"expr":"x","value":"a value of another kind"}`},
	} {
		got, err := json.Marshal(tt.value)
		if err != nil || string(got) != tt.want {
			t.Errorf("got %s, %v, want %s", got, err, tt.want)
		}
	}
}
