package expression

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/request"
)

func TestTemplate_Text(t *testing.T) {
	for _, tt := range []struct {
		template, want string
		absent         bool
	}{
		{template: ``, want: ``},
		{template: `plain $x ${y} }} {{ x }}`, want: `plain $x ${y} }} {{ x }}`},
		{template: `a ${{ payload.s }} b ${{payload.n}}`, want: "a text b 5"},
		{template: `${{ event }}${{ branch }}`, want: "pushmain"},
		{template: `${{ payload.nope }}`, absent: true},
		{template: `${{ payload.nil }}`, absent: true},
		{template: ` ${{ payload.nope }}`, want: " "},
		{template: `x${{ payload.nope }}y`, want: "xy"},
		{template: `${{ payload.empty }}`, want: ""},
		{template: `${{ payload.big }}`, want: "9007199254740993"},
		{template: `${{ payload.huge }}`, want: "123456789012345678901234567890"},
		{template: `${{ payload.price }}`, want: "19.90"},
		{template: `${{ payload.f }} ${{ 2.0 }} ${{ 1e6 }} ${{ 0.1 + 0.2 }} ${{ payload.yes }}`, want: "1.5 2 1000000 0.30000000000000004 true"},
		{template: `${{ payload.obj }}`, want: `{"x":[true,null],"y":1}`},
		{template: `${{ payload.list }} ${{ 1..3 }}`, want: `["a","b"] [1,2,3]`},
		{template: `${{ {"a": payload.huge, "b": payload.price} }}`, want: `{"a":123456789012345678901234567890,"b":19.90}`},
		{template: `${{ "}}" + '}}' + ` + "`}}`" + ` }}`, want: "}}}}}}"},
		{template: `${{ "a\"}}" }}`, want: `a"}}`},
		{template: `${{ {"a": {"b": 1}} }}`, want: `{"a":{"b":1}}`},
		{template: `${{ event /* it's }} */ }}`, want: `push`},
		{template: "${{\n  event\n}}", want: `push`},
		{template: `${{ now() }} ${{ duration("90s") }}`, want: "2026-01-02T03:05:05Z 1m30s"},
		{template: `${{ headers["x-name"] }}`, want: "v"},
		{template: `ü${{ payload.umlaut }}ü`, want: "ügrünü"},
		{template: `${{ fromBase64("/wA=") }}`, want: "\xff\x00"},
	} {
		t.Run(tt.template, func(t *testing.T) {
			tpl, err := CompileTemplate(tt.template, Scope{})
			if err != nil {
				t.Fatal(err)
			}
			got, present, err := tpl.Text(input(sample))
			if err != nil || got != tt.want || present == tt.absent {
				t.Errorf("got %q, %v, %v; want %q", got, present, err, tt.want)
			}
		})
	}
}

func TestCompileTemplate_ErrorsArePlacedInTheText(t *testing.T) {
	for _, tt := range []struct {
		template, message string
		offset, width     int
	}{
		{`ab ${{ evnt }}`, `unknown name "evnt"`, 7, 4},
		{`${{ event }} ü ${{  payload.x + evnt}}`, `unknown name "evnt"`, 33, 4},
		{`ab ${{ "x"`, "${{ is never closed", 3, 3},
		{`ab ${{ "x }}`, "${{ is never closed", 3, 3},
		{`ab ${{ {"a": 1 }}`, "${{ is never closed", 3, 3},
		{`${{ event }} ${{ }}`, "the expression is empty", 17, 0},
		{`x ${{ "a" + }}`, "the expression ends early", 10, 1},
	} {
		_, err := CompileTemplate(tt.template, Scope{})
		var at *Error
		if !errors.As(err, &at) || at.Message != tt.message || at.Offset != tt.offset || at.Width != tt.width {
			t.Errorf("%s: got %#v, want %q at %d, %d wide", tt.template, at, tt.message, tt.offset, tt.width)
		}
	}
}

func TestTemplate_EvaluationErrorsArePlacedInTheText(t *testing.T) {
	src := `size ${{ event }} ${{ payload.s > 1 }}`
	tpl, err := CompileTemplate(src, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = tpl.Text(input(sample))
	var eval *EvalError
	if !errors.As(err, &eval) || src[eval.Offset:eval.Offset+eval.Width] != "payload.s > 1" {
		t.Errorf("got %+v", err)
	}
	one, err := CompileTemplate(src[18:], Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = one.Value(input(sample)); !errors.As(err, &eval) || src[18:][eval.Offset:eval.Offset+eval.Width] != "payload.s > 1" {
		t.Errorf("got %+v", err)
	}
}

func TestTemplate_ValueKeepsTheTypeOfASingleExpression(t *testing.T) {
	for template, want := range map[string]any{
		`${{ payload.n }}`:     int64(5),
		`${{ payload.price }}`: request.Number("19.90"),
		`${{ payload.list }}`:  []any{"a", "b"},
		`${{ payload.nope }}`:  nil,
		`${{ payload.yes }}`:   true,
		` ${{ payload.n }}`:    " 5",
		`text`:                 "text",
	} {
		tpl, err := CompileTemplate(template, Scope{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpl.Value(input(sample))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v; want -, got +:\n%s", template, err, diff)
		}
	}
}

func TestTemplate_SaysWhatItIs(t *testing.T) {
	tpl, err := CompileTemplate(`a ${{ payload.x }} ${{ event }}`, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if _, constant := tpl.Constant(); constant || !tpl.Uses("payload") || !tpl.Uses("event") || tpl.Uses("body") || tpl.Source() != `a ${{ payload.x }} ${{ event }}` {
		t.Errorf("got %+v", tpl)
	}
	for _, plain := range []*Template{Literal("${{ x }}"), Literal("")} {
		if s, constant := plain.Constant(); !constant || s != plain.Source() || plain.Uses("x") {
			t.Errorf("got %q, %t", s, constant)
		}
		if s, present, err := plain.Text(&Input{}); s != plain.Source() || !present || err != nil {
			t.Errorf("got %q, %t, %v", s, present, err)
		}
	}
}

func TestTemplate_OutputIsBounded(t *testing.T) {
	for _, template := range []string{
		strings.Repeat(`${{ body }}`, 20),
		strings.Repeat(`${{ json(payload) }}`, 20),
		`${{ body + body + body + body + body + body }}`,
	} {
		tpl, err := CompileTemplate(template, Scope{})
		if err != nil {
			t.Fatal(err)
		}
		var eval *EvalError
		if _, _, err := tpl.Text(input(`["` + strings.Repeat("x", 1<<20) + `"]`)); !errors.As(err, &eval) {
			t.Errorf("got %v", err)
		}
	}
}

func TestJSON_IsCompactSortedAndBounded(t *testing.T) {
	in := input(sample)
	got, err := JSON(in, map[string]any{"b": []any{1, 2.5, nil}, "a": "<\u2028\x01\xff>", "n": request.Number("1.0")})
	if want := `{"a":"<` + "\u2028" + `\u0001` + "\ufffd" + `>","b":[1,2.5,null],"n":1.0}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := JSON(in, strings.Repeat("x", maxBytes+1)); err == nil {
		t.Error("too much was written")
	}
	if _, err := JSON(in, make(chan int)); err == nil {
		t.Error("a channel was written")
	}
}
