package expression

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBool_AnErrorIsNotFalse(t *testing.T) {
	for _, tt := range []struct{ expr, at, message string }{
		{`event == "push" && payload.s > 5`, `payload.s > 5`, `cannot compare text with a number: payload.s is "text"`},
		{`payload.nope > 5`, `payload.nope > 5`, `cannot compare nil with a number: payload.nope is null`},
		{`5 <= payload.nope.x`, `5 <= payload.nope.x`, `cannot compare a number with nil: payload.nope.x is null`},
		{`payload.n < payload.s`, `payload.n < payload.s`, `cannot compare a number with text: payload.n is 5, payload.s is "text"`},
		{`age(payload.when) < payload.n`, `age(payload.when) < payload.n`, `cannot compare a duration with a number: age(payload.when) is "1m0s", payload.n is 5`},
		{`payload.nope + 1 == 1`, `payload.nope + 1`, `cannot add nil and a number: payload.nope is null`},
		{`payload.s + payload.n == "x"`, `payload.s + payload.n`, `cannot add text and a number: payload.s is "text", payload.n is 5`},
		{`payload.s * 2 == 1`, `payload.s * 2`, `cannot multiply text and a number: payload.s is "text"`},
		{`-payload.nope == 1`, `-payload.nope`, `- wants a number, not nil: payload.nope is null`},
		{`payload.n / payload.zero > 1`, `payload.n / payload.zero`, `division by zero: payload.n is 5, payload.zero is 0`},
		{`payload.n % 0 == 1`, `payload.n % 0`, `division by zero: payload.n is 5`},
		{`payload.big * payload.big > 1`, `payload.big * payload.big`, `the result does not fit into 64 bits: payload.big is 9007199254740993, payload.big is 9007199254740993`},
		{`payload.huge + 1 > 1`, `payload.huge + 1`, `cannot compute with whole numbers of more than 64 bits: payload.huge is 123456789012345678901234567890`},
		{`10.0 ** payload.big > 1`, `10.0 ** payload.big`, `the result is not a number: payload.big is 9007199254740993`},
		{`payload.n startsWith "5"`, `payload.n startsWith "5"`, `startsWith wants text on both sides, not a number and text: payload.n is 5`},
		{`payload.list matches "x"`, `payload.list matches "x"`, `matches wants text, not a list: payload.list is ["a","b"]`},
		{`"a" in payload.s`, `"a" in payload.s`, `"in" wants a list or mapping on the right: for text use contains: payload.s is "text"`},
		{`1 in payload.n`, `1 in payload.n`, `"in" wants a list or mapping on the right, not a number: payload.n is 5`},
		{`any(payload.s, # == 1)`, `any(payload.s, # == 1)`, `expected a list, found text: payload.s is "text"`},
		{`payload.obj | any(# == 1)`, `payload.obj | any(# == 1)`, `expected a list, found a mapping: payload.obj is {"x":[true,null],"y":1}`},
		{`any(payload.commits, .author)`, `.author`, `expected true or false, found text: .author is "ann"`},
		{`any(payload.commits, len(.modified) > .author)`, `len(.modified) > .author`, `cannot compare a number with text: len(.modified) is 1, .author is "ann"`},
		{`payload.s && true`, `payload.s`, `expected true or false, found text: payload.s is "text"`},
		{`true && (payload.n or false)`, `payload.n`, `expected true or false, found a number: payload.n is 5`},
		{`!payload.list`, `payload.list`, `expected true or false, found a list: payload.list is ["a","b"]`},
		{`payload.n ? true : false`, `payload.n`, `expected true or false, found a number: payload.n is 5`},
		{`int(payload.s) == 1`, `int(payload.s)`, `int: the text is not a whole number: payload.s is "text"`},
		{`age(payload.nope) < duration("5m")`, `age(payload.nope)`, `age: wants a time, not nil: payload.nope is null`},
		{`lower(payload.n) == "x"`, `lower(payload.n)`, `lower: wants text, not a number: payload.n is 5`},
		{`semver("1.0.0", payload.s, "1.0.0")`, `semver("1.0.0", payload.s, "1.0.0")`, `semver: "text" is not one of = != < <= > >=: payload.s is "text"`},
		{`sum(payload.list) > 1`, `sum(payload.list)`, `sum wants numbers, not text: payload.list is ["a","b"]`},
		{`payload.n[1:2] == nil`, `payload.n[1:2]`, `only lists and text have parts, not a number: payload.n is 5`},
		{`{(payload.n): 1} == nil`, `(payload.n)`, `a key is text, not a number: payload.n is 5`},
		{`1..payload.s == []`, `1..payload.s`, `.. wants whole numbers on both sides, not a number and text: payload.s is "text"`},
		{`reduce(payload.none, #acc + #) > 1`, `reduce(payload.none, #acc + #)`, `reduce of an empty list wants a first value: reduce(list, …, 0)`},
		{`payload.s`, `payload.s`, `a match is a condition, true or false; this came to "text": payload.s is "text"`},
		{`payload.nope`, `payload.nope`, `a match is a condition, true or false; this came to null: payload.nope is null`},
		{`payload.umlaut == "x" || payload.umlaut > 1`, `payload.umlaut > 1`, `cannot compare text with a number: payload.umlaut is "grün"`},
	} {
		t.Run(tt.expr, func(t *testing.T) {
			p, err := CompileMatch(tt.expr, Scope{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Bool(input(sample))
			var eval *EvalError
			if !errors.As(err, &eval) {
				t.Fatalf("got %v", err)
			}
			if err.Error() != tt.message {
				t.Errorf("got  %q\nwant %q", err, tt.message)
			}
			if at := tt.expr[eval.Offset : eval.Offset+eval.Width]; at != tt.at && "("+at+")" != tt.at {
				t.Errorf("placed at %q, want %q", at, tt.at)
			}
		})
	}
}

func TestEvalError_IsBounded(t *testing.T) {
	body := `{"s":"` + strings.Repeat("ü", 100_000) + `","l":[` + strings.Repeat(`"xxxxxxxxxx",`, 10_000) + `1]}`
	for _, expr := range []string{`payload.s > 5`, `payload.l > payload.s`, `payload > 1`, `payload.s`, `lower(payload.l) == ""`, `max(payload.l, payload.l, payload.s, payload.s, payload.s, payload.s) > 1`} {
		_, err := mustCompile(t, expr, Scope{}).Bool(input(body))
		if err == nil || len(err.Error()) > 4*(maxDescribed+maxExpr)+200 {
			t.Errorf("%s: an error of %d bytes", expr, len(err.Error()))
		}
		if strings.ToValidUTF8(err.Error(), "?") != err.Error() {
			t.Errorf("%s: cut inside a character", expr)
		}
	}
}

func TestEvalError_ShowsAtMostFourValues(t *testing.T) {
	_, err := mustCompile(t, `max(payload.s, payload.list, payload.n, payload.f, payload.obj, payload.a)`, Scope{}).Value(input(sample))
	var eval *EvalError
	if !errors.As(err, &eval) {
		t.Fatal(err)
	}
	want := []Value{{Expr: "payload.s", Value: "text"}, {Expr: "payload.list", Value: []any{"a", "b"}}}
	if diff := cmp.Diff(want, eval.Values[:2]); diff != "" || len(eval.Values) != maxMet {
		t.Errorf("%d values; want -, got +:\n%s", len(eval.Values), diff)
	}
}

func TestRun_APanicIsAnError(t *testing.T) {
	in := input(sample)
	in.Git = func() GitFacts { panic("a provider's mistake") }
	_, err := mustCompile(t, `branch == "main"`, Scope{}).Bool(in)
	var eval *EvalError
	if !errors.As(err, &eval) || !strings.Contains(err.Error(), "a provider's mistake") {
		t.Errorf("got %v", err)
	}
}
