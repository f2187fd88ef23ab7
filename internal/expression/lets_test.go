package expression

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func mustLets(t *testing.T, sources ...LetSource) (*Lets, Scope) {
	t.Helper()
	lets, errs := CompileLets(sources)
	var scope Scope
	for i, err := range errs {
		if err != nil {
			t.Fatal(sources[i].Name, err)
		}
		scope.Lets = append(scope.Lets, sources[i].Name)
	}
	return lets, scope
}

func TestLets_AreComputedOnceAndOnlyWhenUsed(t *testing.T) {
	lets, scope := mustLets(t, LetSource{"pushed", `branch`}, LetSource{"twice", `pushed + pushed`}, LetSource{"bad", `payload.s > 1`})
	in := input(sample)
	in.Lets = lets
	asked := 0
	in.Git = func() GitFacts { asked++; return GitFacts{Branch: "m"} }
	if got, err := mustCompile(t, `event == "push" || bad ? 1 : twice`, scope).Value(in); err != nil || got != int64(1) || asked != 0 {
		t.Fatalf("got %v, %v, asked %d times", got, err, asked)
	}
	if got, err := mustCompile(t, `twice + twice + pushed`, scope).Value(in); err != nil || got != "mmmmm" || asked != 1 {
		t.Fatalf("got %v, %v, asked %d times", got, err, asked)
	}
	in.Git = nil
	in.git = &GitFacts{Branch: "other"}
	if got, err := mustCompile(t, `twice`, scope).Value(in); err != nil || got != "mm" {
		t.Errorf("got %v, %v: it was computed again", got, err)
	}
}

func TestLets_AnErrorIsKeptAndNamesTheLet(t *testing.T) {
	lets, scope := mustLets(t, LetSource{"bad", `payload.s > 1`}, LetSource{"worse", `bad || true`})
	in := input(sample)
	in.Lets = lets
	p := mustCompile(t, `event == "push" && worse`, scope)
	for range 2 {
		_, err := p.Bool(in)
		var eval *EvalError
		want := `let worse: let bad: cannot compare text with a number: payload.s is "text"`
		if !errors.As(err, &eval) || err.Error() != want {
			t.Fatalf("got  %v\nwant %s", err, want)
		}
		if at := p.source[eval.Offset : eval.Offset+eval.Width]; at != "worse" {
			t.Errorf("placed at %q", at)
		}
	}
}

func TestLets_ABodyThatCannotBeReadStaysThatError(t *testing.T) {
	lets, scope := mustLets(t, LetSource{"x", `payload.x`})
	in := input(`{`)
	in.Lets = lets
	for range 2 {
		_, err := mustCompile(t, `x == 1`, scope).Bool(in)
		var undecodable *request.DecodeError
		if !errors.As(err, &undecodable) {
			t.Errorf("got %v", err)
		}
	}
}

func TestCompileLets_RefusesNamesThatMeanSomething(t *testing.T) {
	for _, tt := range []struct{ name, source, message string }{
		{"payload", "1", `"payload" already means something`},
		{"attempt", "1", `"attempt" already means something`},
		{"glob", "1", `"glob" already means something`},
		{"any", "1", `"any" already means something`},
		{"first", "1", `"first" already means something`},
		{"ok", "1", `"ok" already means something`},
		{"in", "1", `"in" is not a name: letters, digits and _`},
		{"__z", "1", `"__z" is not a name: letters, digits and _`},
		{"a-b", "1", `"a-b" is not a name: letters, digits and _`},
		{"1a", "1", `"1a" is not a name: letters, digits and _`},
		{"", "1", `"" is not a name: letters, digits and _`},
		{"early", "late", `unknown name "late"`},
		{"self", "self", `unknown name "self"`},
		{"job_known", "job.id", `job is known only after a job has ended`},
	} {
		_, errs := CompileLets([]LetSource{{"ok", "1"}, {tt.name, tt.source}, {"late", "1"}})
		if errs[0] != nil || errs[2] != nil || errs[1] == nil || errs[1].Error() != tt.message {
			t.Errorf("%s: got %v, want %q", tt.name, errs, tt.message)
		}
	}
	if _, errs := CompileLets(make([]LetSource, maxLets+1)); errs[maxLets] == nil || errs[maxLets].Error() != "more than 100 values" {
		t.Errorf("got %v", errs[maxLets])
	}
}

func TestLets_UsesGoesThroughOtherLets(t *testing.T) {
	lets, _ := mustLets(t, LetSource{"a", `payload.x`}, LetSource{"b", `a ?? 1`}, LetSource{"c", `event`})
	for let, want := range map[string]bool{"a": true, "b": true, "c": false, "nope": false} {
		if got := lets.Uses(let, "payload"); got != want {
			t.Errorf("%s: %t", let, got)
		}
	}
	if (*Lets)(nil).Uses("a", "payload") {
		t.Error("no lets use something")
	}
}

// TestLets_HaveTheirOwnBudget: what a value comes to does not depend on who uses it first, and
// many slow values do not add up.
func TestLets_HaveTheirOwnBudget(t *testing.T) {
	slow := `all(payload, all(payload, # != 1))`
	var sources []LetSource
	for i := range 20 {
		sources = append(sources, LetSource{"slow" + string(rune('a'+i)), slow})
	}
	sources = append(sources, LetSource{"quick", `len(payload)`})
	lets, scope := mustLets(t, sources...)
	in := input("[" + strings.Repeat("0,", 5000) + "0]")
	in.Lets = lets
	began := time.Now()
	for _, s := range sources[:20] {
		if _, err := mustCompile(t, s.Name, scope).Value(in); err == nil || !strings.Contains(err.Error(), "let "+s.Name) {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	if took := time.Since(began); took > farTooLong {
		t.Errorf("all of them took %s", took)
	}
	if got, err := mustCompile(t, `quick`, scope).Value(in); err != nil || got != int64(5001) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := mustCompile(t, `slowa || any(payload, # == 0)`, scope).Value(in); err == nil {
		t.Error("the error was forgotten")
	}
}

func TestCompileLets_MayGiveTheNamesOfPushesAnotherMeaning(t *testing.T) {
	lets, errs := CompileLets([]LetSource{{"sha", "payload.after"}, {"tag", `7`}, {"branch", `branch + "!"`}})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	scope := Scope{Lets: []string{"sha", "tag", "branch"}}
	for src, want := range map[string]bool{`sha == "abc"`: true, `tag > 5`: true, `branch == "main!"`: true, `repo == "acme/site"`: true} {
		p, err := CompileMatch(src, scope)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		in := &Input{Request: &request.Request{Body: []byte(`{"after":"abc"}`)}, Lets: lets, Git: func() GitFacts { return GitFacts{Branch: "main", SHA: "other", Repo: "acme/site"} }}
		if got, err := p.Bool(in); err != nil || got != want {
			t.Errorf("%s is %v, %v", src, got, err)
		}
	}
}
