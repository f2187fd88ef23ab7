package expression

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/request"
)

var fuzzScope = Scope{Lets: []string{"mine"}, Job: true}

func seeds(f *testing.F, add func(string)) {
	f.Helper()
	for _, expr := range hostileExpressions {
		add(expr)
	}
	for _, expr := range []string{
		`payload.a == 1`, `payload?.a ?? 1`, `payload.a[1:2]`, `let x = 1; x`, `{"a": [1..3], (event): 2}`, `#`, `if true { 1 } else { 2 }`, `a; b`, `1 < 2 < 3`,
		`mine + job.id`, `"\u00fc" == 'ü'`, "`raw`", `/* c */ event // d`, `payload["a"].b?.[0]`, `::len(payload)`, `map(payload, {.x; #})`, `x ?: y`, `b"x"`, `$env`, `-(-1)`,
		`not not true`, `1..2..3`, `payload | map(#) | filter(#) | len()`, `0x10 + 0b1 + 1_000 + .5`, `header("x").y`, `semver("v1", "<", "2")`,
	} {
		add(expr)
	}
}

// FuzzCompile: nothing panics, a problem is an *Error inside the source, and the places that
// are known of what compiles can be shown.
func FuzzCompile(f *testing.F) {
	seeds(f, func(s string) { f.Add(s) })
	f.Fuzz(func(t *testing.T, source string) {
		began := time.Now()
		p, err := CompileMatch(source, fuzzScope)
		if took := time.Since(began); took > farTooLong {
			t.Errorf("%q took %s", source, took)
		}
		if err != nil {
			var at *Error
			if !errors.As(err, &at) || at.Message == "" || at.Offset < 0 || at.Width < 0 || at.Offset > len(source) {
				t.Errorf("%q: %#v", source, err)
			}
			if strings.Contains(err.Error(), "cannot be compiled") || strings.Contains(err.Error(), "goroutine") {
				t.Errorf("%q: %s", source, err)
			}
			return
		}
		if p.explained() == nil {
			t.Errorf("%q cannot be explained", source)
		}
		spans := newSpans(source)
		for _, n := range p.explained().notes {
			if from, to := spans.of(n.node); from < 0 || to > len(source) || from >= to {
				t.Errorf("%q: a part from %d to %d", source, from, to)
			}
		}
	})
}

// FuzzRun: whatever the expression and the payload, it ends in time with a value or an
// *EvalError, and both can be shown.
func FuzzRun(f *testing.F) {
	seeds(f, func(s string) { f.Add(s, sample) })
	f.Fuzz(func(t *testing.T, source, body string) {
		p, err := Compile(source, fuzzScope)
		if err != nil {
			return
		}
		in := input(body)
		in.Lets, _ = CompileLets([]LetSource{{"mine", "payload.n"}})
		if _, err := in.Request.Payload(); err != nil {
			return
		}
		began := time.Now()
		v, err := p.Value(in)
		if took := time.Since(began); took > farTooLong {
			t.Errorf("%q took %s", source, took)
		}
		var eval *EvalError
		var undecodable *request.DecodeError // of the form
		switch {
		case err == nil:
			if text, all := preview(v, maxShown); all && !json.Valid([]byte(text)) {
				t.Errorf("%q came to %s", source, text)
			}
		case errors.As(err, &undecodable):
		case !errors.As(err, &eval) || len(err.Error()) > 4096 || eval.Offset < 0 || eval.Offset+eval.Width > len(source):
			t.Errorf("%q: %#v", source, err)
		case strings.Contains(err.Error(), "runtime error") || strings.Contains(err.Error(), "interface conversion"):
			t.Errorf("%q: %s", source, err)
		}
		_, values, _ := p.Explain(in)
		for _, v := range values {
			if out := v.JSON(maxShown, nil, 0); !json.Valid(out) || len(out) > 8192 {
				t.Errorf("%q: %s, %d bytes", source, out, len(out))
			}
		}
	})
}

// FuzzTemplate: text without expressions comes out as it is, and nothing panics.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{`a ${{ payload.s }}`, `${{`, `${{ "}}" }}`, `$${{ 1 }}`, `${{ {"a": 1} }}`, `${{ /* }} */ 1 }}`, "${{ `}}` }}", `}}${{ event }}{{`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tpl, err := CompileTemplate(source, Scope{})
		if err != nil {
			var at *Error
			if !errors.As(err, &at) || at.Offset < 0 || at.Offset > len(source) {
				t.Errorf("%q: %#v", source, err)
			}
			return
		}
		s, present, err := tpl.Text(input(sample))
		if !strings.Contains(source, "${{") && (s != source || !present || err != nil) {
			t.Errorf("%q came to %q, %t, %v", source, s, present, err)
		}
		if err == nil && utf8.ValidString(source) && !utf8.ValidString(s) && !strings.Contains(source, "fromBase64") && !strings.Contains(source, `\x`) {
			t.Errorf("%q came to %q", source, s)
		}
		if _, valueErr := tpl.Value(input(sample)); err != nil && valueErr == nil {
			t.Errorf("%q has a value, but no text: %v", source, err)
		}
	})
}

// TestSpans_AreWhatWasWritten: the text of a part, compiled alone, is that part.
func TestSpans_AreWhatWasWritten(t *testing.T) {
	sources := append([]string{
		`(event == "push") && (branch in ["a", "b"])`, `not ((payload.a.b)[0] > (1 + 2) * 3)`, `payload["a"]?.b?.[0].c[1:2]`, `len(split(body, "/")[0]) > 1`,
		`payload.list | filter(# != "x") | map(upper(#)) | join("-") == "A"`, `any(payload.x, {.a > 1 && #.b < 2})`, `(payload.a ? payload.b : payload.c) == 1`,
		`{"a": payload.x, "b": [1, payload.y]} == payload.z`, `let x = (payload.a); (x + 1) * 2 > 3`, `payload.a not in [1, 2] and payload.b not contains "x"`,
		`"ü" + header("ä") == 'ö' /* c */ && -payload.n < 1`, `1 < payload.n < 3`, `if (payload.a) { payload.b } else { payload.c == 1 }`, `now() > date("2026-01-01")`,
	}, hostileExpressions...)
	for _, src := range sources {
		p, err := Compile(src, Scope{})
		if err != nil {
			continue
		}
		spans := newSpans(src)
		for _, site := range p.explained().notes {
			from, to := spans.of(site.node)
			alone, err := parse("map([1], (" + src[from:to] + "))") // so that # is known
			if err != nil {
				t.Errorf("%s: part %q: %v", src, src[from:to], err)
				continue
			}
			want, got := site.node.String(), alone.Node.String()
			if got != "map([1], "+want+")" {
				t.Errorf("%s: part %q is %s, want %s", src, src[from:to], got, want)
			}
		}
	}
}
