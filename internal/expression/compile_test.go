package expression

import (
	"errors"
	"strings"
	"testing"
)

func TestCompile_RefusesWhatIsKnownToBeWrong(t *testing.T) {
	for _, tt := range []struct{ expr, at, message, hint string }{
		{`evnt == "push"`, `evnt`, `unknown name "evnt"`, `did you mean "event"?`},
		{`event == "push" && brnch == "main"`, `brnch`, `unknown name "brnch"`, `did you mean "branch"?`},
		{`"ü" == event && Payload.x`, `Payload`, `unknown name "Payload"`, `did you mean "payload"?`},
		{`whatever`, `whatever`, `unknown name "whatever"`, "names: actor, body, branch, changed_files, commits, delivery, event, form, headers, hook, ip, method, params, path, payload, query, repo, sha, tag"},
		{`globb("x", branch)`, `globb`, `unknown function "globb"`, `did you mean "glob"?`},
		{`glob("x")`, `glob`, "glob takes 2 arguments, found 1", `glob("docs/**", path)`},
		{`now(1) > date("2026-01-01")`, `now`, "now takes no arguments, found 1", "now()"},
		{`glob == "x"`, `glob`, "glob is a function: it is written glob(…)", ""},
		{`any == "x"`, `any`, "any is a function: it is written any(…)", ""},
		{`delivery.idd`, `idd`, `delivery has no field "idd"`, `did you mean "id"?`},
		{`delivery["idd"]`, `"idd"`, `delivery has no field "idd"`, `did you mean "id"?`},
		{`delivery.x`, `x`, `delivery has no field "x"`, "fields: id, key, received_at"},
		{`branch matches payload.p`, `.p`, "a pattern must be written out", "for a part known at run time use startsWith, contains or glob(pattern, text)"},
		{`branch matches "("`, `"("`, "missing closing ): `(`", ""},
		{`branch matches "(?=x)"`, `"(?=x)"`, "invalid or unsupported Perl syntax: `(?=`", ""},
		{`job.exit_code == 0`, "job", "job is known only after a job has ended", "on_success, on_failure and on_cancel can use it"},
		{`attempt > 1`, "attempt", "attempt is known only after a job has ended", ""},
		{`payload.a.b()`, "b()", "only functions of this language can be called", ""},
		{`payload.x.y(1).z`, "y(1)", "only functions of this language can be called", ""},
		{`__name == 1`, "__name", `unknown name "__name"`, ""},
		{`$env.x`, "$env", `unknown name "$env"`, ""},
		{`$env["__let"]`, "$env", `unknown name "$env"`, ""},
		{`__let("x")`, "__let", `unknown function "__let"`, ""},
		{``, "", "the expression is empty", ""},
		{" \n ", "", "the expression is empty", ""},
		{`any(payload, any(#, any(#, any(#, # == 1))))`, "any", "conditions over elements are nested 4 deep, at most 3", ""},
		{`groupBy(payload.list, #)`, "groupBy", "groupBy is not a function of this language", ""},
		{`sortBy(payload.list, #)`, "sortBy", "sortBy is not a function of this language", ""},
		{`findLast(payload.list, #)`, "findLast", "findLast is not a function of this language", ""},
		{`repeat("x", 1000000)`, "repeat", `unknown function "repeat"`, ""},
		{`repeat(payload.s, 3)`, "repeat", `unknown function "repeat"`, ""},
		{`groupBy(payload.list, #)`, "groupBy", `groupBy is not a function of this language`, ""},
		{`let payload = 1; payload`, "payload", `"payload" already means something`, "choose another name"},
		{`let glob = 1; glob`, "glob", `"glob" already means something`, ""},
		{`let any = 1; any`, "any", `"any" already means something`, ""},
		{`let __x = 1; __x`, "__x", `"__x" already means something`, ""},
		{`let x = 1; let x = 2; x`, "x = 2", `"x" already means something`, ""},
		{`(let x = 1; x) + x`, "x", `unknown name "x"`, ""},
		{`let x = x; 1`, "x; 1", `unknown name "x"`, ""},
		{`any(payload.l, let i = #; i == 1) && i == 1`, "i == 1", `unknown name "i"`, ""},
		{`let x = 1; y`, "y", `unknown name "y"`, ""},
		{`b"bytes" == body`, `b"`, `b"…" is not of this language`, ""},
		{`map(payload.list, #foo)`, "#", `unknown name "#foo"`, ""},
		{`event ==`, "", "the expression ends early", ""},
		{`event = "push"`, "=", `unexpected "="`, "== compares"},
		{`payload.n > 99999999999999999999`, "", `invalid integer literal: strconv.ParseInt: parsing "99999999999999999999": value out of range`, ""},
		{`branch > 5`, ">", "cannot compare a text with a number", ""},
		{`payload.n > nil`, ">", "cannot compare a value with nil", ""},
		{`payload.n > true`, ">", "cannot compare a value with a condition", ""},
		{`event == 5`, "==", "a text and a number are never equal", ""},
		{`age(payload.t) < 5`, "<", "cannot compare a duration with a number", ""},
		{`branch && true`, "&&", "&& wants true or false on both sides; one is a text", ""},
		{`!branch`, "!", "! wants true or false; this is a text", ""},
		{`-branch`, "-", "- wants a number; this is a text", ""},
		{`1 startsWith branch`, "startsWith", "startsWith wants text on both sides; one is a number", ""},
		{`"main" in branch`, "in", `"in" wants a list or mapping on the right; this is a text`, ""},
		{`cidr("10.0.0.0/99", ip)`, `"10.`, `cidr: "10.0.0.0/99" is not a network such as 10.0.0.0/8`, `cidr("10.0.0.0/8", ip)`},
		{`semver(tag, "~", "1.2")`, `"~"`, `semver: "~" is not one of = != < <= > >=`, ""},
		{`semver(tag, ">", "one")`, `"one"`, `semver: "one" is not a version such as 1.2.0`, ""},
		{`in_window("Mon-Fry 09:00-17:00")`, `"Mon`, `in_window: "Mon-Fry 09:00-17:00" is not a window such as "Mon-Fri 09:00-17:00"`, ""},
		{`in_window("09:00-17:00", "Europe/Berlim")`, `"Europe`, `in_window: "Europe/Berlim" is not a time zone such as Europe/Berlin`, ""},
		{`duration("5 minutes") > duration("1s")`, `"5 m`, `duration: "5 minutes" is not a duration such as 90s, 5m or 14d`, ""},
		{`date("tomorrow") > now()`, `"tom`, "date: the text is not a time such as 2026-01-02T15:04:05Z", ""},
		{strings.Repeat("x", 4097), "", "the expression is longer than 4096 bytes", ""},
		{"[" + strings.Repeat("1,", 1100) + "1] == []", "", "the expression has more than 1000 parts", ""},
	} {
		t.Run(cut(tt.expr), func(t *testing.T) {
			_, err := Compile(tt.expr, Scope{})
			var at *Error
			if !errors.As(err, &at) {
				t.Fatalf("got %v", err)
			}
			if at.Message != tt.message {
				t.Errorf("message %q, want %q", at.Message, tt.message)
			}
			if tt.at != "" && !strings.HasPrefix(tt.expr[at.Offset:], strings.TrimPrefix(tt.at, ".")) {
				t.Errorf("placed at %q, want %q", tt.expr[at.Offset:], tt.at)
			}
			if at.Offset < 0 || at.Width < 0 || at.Offset > len(tt.expr) {
				t.Errorf("placed at %d, %d wide, outside of the source", at.Offset, at.Width)
			}
			if tt.hint != "" && (len(at.Hints) == 0 || at.Hints[0] != tt.hint) {
				t.Errorf("hints %q, want %q", at.Hints, tt.hint)
			}
		})
	}
}

func TestCompile_WidthIsThatOfTheName(t *testing.T) {
	_, err := Compile(`"grün" == evént`, Scope{})
	var at *Error
	if !errors.As(err, &at) || at.Offset != len(`"grün" == `) || at.Width != len("evént") {
		t.Errorf("got %+v", err)
	}
}

func TestCompile_KnowsTheNamesOfItsScope(t *testing.T) {
	if _, err := Compile(`mine + job.id`, Scope{Lets: []string{"mine"}, Job: true}); err != nil {
		t.Error(err)
	}
	_, err := Compile(`mind`, Scope{Lets: []string{"mine"}})
	var at *Error
	if !errors.As(err, &at) || len(at.Hints) != 1 || at.Hints[0] != `did you mean "mine"?` {
		t.Errorf("got %+v", err)
	}
	if _, err := Compile(`let mine = 1; mine`, Scope{Lets: []string{"mine"}}); err == nil {
		t.Error("a let may shadow one of the configuration")
	}
}

func TestCompileMatch_RefusesWhatIsNoCondition(t *testing.T) {
	for expr, what := range map[string]string{
		`branch`: "a text", `"x"`: "a text", `1`: "a number", `payload.a + "x"`: "a text", `payload.a + payload.b`: "a result of +", `len(payload)`: "a number",
		`[1]`: "a list", `{"a": 1}`: "a mapping", `filter(payload, true)`: "a list", `lower(branch)`: "a text", `true ? 1 : 2`: "a number", `true ? 1 : "x"`: "a number",
		`payload.n * 2`: "a result of *", `event`: "a text", `nil`: "nil", `now()`: "a time", `age(payload.t)`: "a duration", `count(payload, true)`: "a number",
		`let x = 1; x + 1`: "a result of +", `delivery.id`: "a text", `changed_files`: "a list", `-1`: "a number", `1..2`: "a list", `branch ?? "x"`: "a text", `event; branch`: "a text",
	} {
		_, err := CompileMatch(expr, Scope{})
		if err == nil || err.Error() != "a match is a condition, true or false; this is "+what {
			t.Errorf("%s: %v, want %q", expr, err, what)
		}
	}
	for _, expr := range []string{
		`true`, `payload.deleted`, `!payload.deleted`, `event == "x"`, `any(payload, # == 1)`, `payload.a ?? false`, `glob("*", branch)`, `not (branch == "x")`,
		`branch == "x" or tag != ""`, `payload.a ? true : payload.b`, `find(payload.list, true)`, `let x = payload.a; x`, `at(payload, "x")`, `first(payload.list)`,
	} {
		if _, err := CompileMatch(expr, Scope{}); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

// TestFunctions_HaveWhatIsSaidOfThem holds the table of functions against itself.
func TestFunctions_HaveWhatIsSaidOfThem(t *testing.T) {
	for name, f := range functions {
		if f.usage == "" || !strings.HasPrefix(f.usage, name+"(") || f.most < f.least {
			t.Errorf("%s is written %q and takes %d to %d", name, f.usage, f.least, f.most)
		}
		for i := range f.prepare {
			if i >= f.most {
				t.Errorf("%s prepares an argument it has not", name)
			}
		}
		if isName(name) || loops[name] != unknown {
			t.Errorf("%s is two things", name)
		}
	}
}
