package expression

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/request"
)

const sample = `{"a":{"b":[1,2,{"c":"x"}]},"n":5,"big":9007199254740993,"huge":123456789012345678901234567890,"f":1.5,"s":"text","nil":null,
"list":["a","b"],"obj":{"y":1,"x":[true,null]},"t":"2026-01-02T03:04:05Z","files":["docs/a.md","docs/b/c.md"],"ref":"refs/heads/main"}`

func input(body string) *Input {
	at := time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC) // a Friday
	return &Input{
		Request: &request.Request{
			Method: "POST", Path: "/x/y", RawQuery: "q=1&r=1&r=2", Header: http.Header{"X-Name": {"v"}, "Content-Type": {"application/json"}},
			IP: netip.MustParseAddr("192.0.2.7"), Params: map[string]string{"repo": "site"}, Body: []byte(body),
		},
		Hook: "h", Event: "push", DeliveryID: "D", DeliveryKey: "K", ReceivedAt: at, Now: at,
		Git: func() GitFacts {
			return GitFacts{Branch: "main", SHA: "0123456789", ChangedFiles: []string{"docs/a", "b"}}
		},
	}
}

func TestValue(t *testing.T) {
	for _, tt := range []struct {
		expr string
		want any
	}{
		{`payload.a.b[2].c`, "x"},
		{`payload.a.b[9]`, nil},
		{`payload.a.b[-1].c`, "x"},
		{`payload.a.nope.deeper.still == "x"`, false},
		{`payload.list.name`, nil},
		{`payload.s.name`, nil},
		{`payload.s["x"]`, nil},
		{`payload["a"]["b"][0]`, int64(1)},
		{`payload?.a?.b`, []any{int64(1), int64(2), map[string]any{"c": "x"}}},
		{`payload.nil == nil`, true},
		{`payload.nope == nil`, true},
		{`any(payload.nope, # == 1)`, false},
		{`all(nil, # == 1)`, true},
		{`none(payload.nope, true)`, true},
		{`len(payload.nope)`, 0},
		{`filter(payload.a.b, # == 2)`, []any{int64(2)}},
		{`map(payload.list, upper(#))`, []any{"A", "B"}},
		{`count(payload.list, # == "a")`, 1},
		{`find(payload.a.b, # == 2)`, int64(2)},
		{`payload.n == 5`, true},
		{`payload.n == 5.0`, true},
		{`payload.n > 4`, true},
		{`payload.n + 1`, 6},
		{`payload.big == 9007199254740993`, true},
		{`payload.big == 9007199254740992`, false},
		{`string(payload.big)`, "9007199254740993"},
		{`string(payload.huge)`, "123456789012345678901234567890"},
		{`payload.huge == payload.huge`, true},
		{`payload.f`, 1.5},
		{`payload.s + "!"`, "text!"},
		{`payload.s startsWith "te"`, true},
		{`payload.nope startsWith "te"`, false},
		{`payload.nope contains "te"`, false},
		{`payload.nope matches "te"`, false},
		{`payload.ref matches "^refs/heads/(main|dev)$"`, true},
		{`"a" in payload.list`, true},
		{`"z" in payload.list`, false},
		{`"a" in payload.nope`, false},
		{`"x" in payload.obj`, true},
		{`event in ["push", "ping"]`, true},
		{`payload.n in [4, 5]`, true},
		{`payload.nope ?? "other"`, "other"},
		{`payload.n > 4 ? "yes" : "no"`, "yes"},
		{`payload.list[0:1]`, []any{"a"}},
		{`payload.list | map(# + "!") | join(",")`, "a!,b!"},
		{`header("x-name")`, "v"},
		{`headers["X-NAME"]`, "v"},
		{`headers["x-name"] == "v" && headers["nope"] == nil`, true},
		{`query.q`, "1"},
		{`query.r`, []any{"1", "2"}},
		{`params.repo`, "site"},
		{`method + path + ip + hook`, "POST/x/y192.0.2.7h"},
		{`delivery.id + delivery.key`, "DK"},
		{`branch == "main" && short(sha) == "0123456"`, true},
		{`tag`, ""},
		{`all(payload.files, glob("docs/**", #))`, true},
		{`glob("docs/*", "docs/b/c.md")`, false},
		{`glob("**/*.md", "a.md") && glob("**/*.md", "x/y/a.md")`, true},
		{`any(changed_files, # == "b")`, true},
		{`cidr("192.0.2.0/24", ip)`, true},
		{`cidr("10.0.0.0/8", ip)`, false},
		{`semver("v1.10.0", ">", "1.9.9") && semver("1.0.0-rc.1", "<", "1.0.0") && !semver("x", ">", "1.0.0")`, true},
		{`age(payload.t)`, time.Minute},
		{`age(payload.t) < duration("5m")`, true},
		{`in_window("Mon-Fri 03:00-04:00")`, true},
		{`in_window("Mon-Fri 03:00-04:00", "Europe/Berlin")`, false},
		{`in_window("Thu 22:00-06:00")`, true},
		{`in_window("Fri 22:00-06:00")`, false},
		{`json(payload.obj)`, `{"x":[true,null],"y":1}`},
		{`text(payload.nope)`, ""},
		{`at(payload, "a.b.2.c")`, "x"},
		{`fromBase64("aGk=")`, "hi"},
		{`split("a/b", "/")[1]`, "b"},
		{`replace("a/b", "/", "-")`, "a-b"},
		{`trimPrefix(payload.ref, "refs/heads/")`, "main"},
		{`int("5") + float("1.5") + abs(-2) + max(1, 3) + min([4, 2])`, 13.5},
		{`keys(payload.obj)`, []any{"x", "y"}},
		{`payload.obj == payload.obj`, true},
		{`let x = payload.n; x + x`, 10},
		{`type(payload.list) + type(payload.nope)`, "arraynil"},
		{`first(payload.list) + last(payload.list)`, "ab"},
		{`reduce(payload.list, #acc + #, "")`, "ab"},
	} {
		t.Run(tt.expr, func(t *testing.T) {
			p, err := Compile(tt.expr, Scope{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Value(input(sample))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestCompile_RefusesWhatIsKnownToBeWrong(t *testing.T) {
	for _, tt := range []struct{ expr, at, message, hint string }{
		{`evnt == "push"`, `evnt`, `unknown name "evnt"`, `did you mean "event"?`},
		{`event == "push" && brnch == "main"`, `brnch`, `unknown name "brnch"`, `did you mean "branch"?`},
		{`globb("x", branch)`, `globb`, `unknown function "globb"`, `did you mean "glob"?`},
		{`glob("x")`, `glob`, "glob takes 2 arguments, found 1", `glob("docs/**", path)`},
		{`delivery.idd`, "", `delivery has no field "idd"`, `did you mean "id"?`},
		{`branch matches payload.p`, "", "a pattern must be written out", ""},
		{`branch matches "("`, "", "missing closing ): `(`", ""},
		{`job.exit_code == 0`, "job", "job is known only after a job has ended", ""},
		{`payload.a.b()`, "", "only functions of this language can be called", ""},
		{`groupBy(payload.list, #)`, "", "groupBy is not a function of this language", ""},
		{`__b == 1`, "__b", `unknown name "__b"`, ""},
		{``, "", "the expression is empty", ""},
		{`any(payload, any(#, any(#, any(#, # == 1))))`, "", "conditions over elements are nested 4 deep, at most 3", ""},
	} {
		t.Run(tt.expr, func(t *testing.T) {
			_, err := Compile(tt.expr, Scope{})
			var at *Error
			if !errors.As(err, &at) {
				t.Fatalf("got %v", err)
			}
			if at.Message != tt.message {
				t.Errorf("message %q, want %q", at.Message, tt.message)
			}
			if tt.at != "" && at.Offset != strings.Index(tt.expr, tt.at) {
				t.Errorf("offset %d, want that of %q", at.Offset, tt.at)
			}
			if tt.hint != "" && (len(at.Hints) == 0 || at.Hints[0] != tt.hint) {
				t.Errorf("hints %q, want %q", at.Hints, tt.hint)
			}
		})
	}
}

func TestCompileMatch_RefusesWhatIsNoCondition(t *testing.T) {
	for _, expr := range []string{`branch`, `"x"`, `1`, `payload.a + "x"`, `len(payload)`, `[1]`, `{"a": 1}`, `filter(payload, true)`, `lower(branch)`, `true ? 1 : 2`, `payload.n * 2`, `event`} {
		if _, err := CompileMatch(expr, Scope{}); err == nil {
			t.Errorf("%s compiled as a condition", expr)
		}
	}
	for _, expr := range []string{`true`, `payload.deleted`, `!payload.deleted`, `event == "x"`, `any(payload, # == 1)`, `payload.a ?? false`, `glob("*", branch)`, `not (branch == "x")`, `branch == "x" or tag != ""`} {
		if _, err := CompileMatch(expr, Scope{}); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestBool_AnErrorIsNotFalse(t *testing.T) {
	for _, tt := range []struct{ expr, message string }{
		{`payload.s > 5`, `payload.s is "text"`},
		{`payload.nope > 5`, `payload.nope is null`},
		{`payload.n startsWith "5"`, "startsWith wants text on both sides, not a number and text: payload.n is 5"},
		{`payload.s`, `this came to "text"`},
		{`payload.nope`, "this came to null"},
		{`payload.s + payload.n == "x"`, "cannot add text and a number"},
		{`any(payload.s, # == 1)`, "expected a list, found text"},
		{`int(payload.s) == 1`, `int: "text" is not a whole number`},
	} {
		t.Run(tt.expr, func(t *testing.T) {
			p, err := CompileMatch(tt.expr, Scope{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Bool(input(sample))
			var eval *EvalError
			if !errors.As(err, &eval) || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("got %v, want %q in it", err, tt.message)
			}
		})
	}
}

func TestPayload_IsReadOnlyWhenItIsNeeded(t *testing.T) {
	in := input(`{"a":1,"a":2}`)
	p, err := CompileMatch(`event == "other" && payload.a == 1`, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := p.Bool(in); ok || err != nil {
		t.Errorf("got %v, %v although the body was not needed", ok, err)
	}
	p, err = CompileMatch(`payload.a == 1`, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	var undecodable *request.DecodeError
	if _, err := p.Bool(in); !errors.As(err, &undecodable) {
		t.Errorf("got %v, want a DecodeError", err)
	}
}

func TestLets_AreComputedOnceAndOnlyWhenUsed(t *testing.T) {
	lets, errs := CompileLets([]LetSource{{"a", "payload.n + 1"}, {"b", "a * 2"}, {"bad", "payload.s > 1"}})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	scope := Scope{Lets: []string{"a", "b", "bad"}}
	in := input(sample)
	in.Lets = lets
	p, err := Compile(`event == "push" || bad ? b : 0`, scope)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Value(in); err != nil || got != 12 {
		t.Errorf("got %v, %v", got, err)
	}
	p, err = Compile(`bad`, scope)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Value(in); err == nil || !strings.Contains(err.Error(), "let bad") {
		t.Errorf("got %v", err)
	}
	_, errs = CompileLets([]LetSource{{"payload", "1"}, {"glob", "1"}, {"x", "y"}, {"y", "1"}, {"in", "1"}, {"__z", "1"}})
	for i, want := range []bool{true, true, true, false, true, true} {
		if (errs[i] != nil) != want {
			t.Errorf("let %d: %v", i, errs[i])
		}
	}
}

func TestTemplate(t *testing.T) {
	for _, tt := range []struct {
		template, want string
		absent         bool
	}{
		{template: `plain $x ${y}`, want: `plain $x ${y}`},
		{template: `a ${{ payload.s }} b ${{payload.n}}`, want: "a text b 5"},
		{template: `${{ payload.nope }}`, absent: true},
		{template: `x${{ payload.nope }}y`, want: "xy"},
		{template: `${{ payload.big }}`, want: "9007199254740993"},
		{template: `${{ payload.huge }}`, want: "123456789012345678901234567890"},
		{template: `${{ payload.f }} ${{ 2.0 }} ${{ true }}`, want: "1.5 2 true"},
		{template: `${{ payload.obj }}`, want: `{"x":[true,null],"y":1}`},
		{template: `${{ "}}" + '}}' }}`, want: "}}}}"},
		{template: `${{ {"a": {"b": 1}} }}`, want: `{"a":{"b":1}}`},
		{template: `${{ now() }}`, want: "2026-01-02T03:05:05Z"},
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
	for template, offset := range map[string]int{`ab ${{ evnt }}`: 7, `ab ${{ "x"`: 3, `${{ event }} ${{ }}`: 17} {
		_, err := CompileTemplate(template, Scope{})
		var at *Error
		if !errors.As(err, &at) || at.Offset != offset {
			t.Errorf("%s: %v at %+v, want offset %d", template, err, at, offset)
		}
	}
}

func TestExplain_ShowsTheValuesThatDecided(t *testing.T) {
	p, err := CompileMatch(`event == "push" && branch == "dev" && any(payload.list, # == "b")`, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, v := range p.Explain(input(sample)) {
		got[v.Expr] = v.Value
	}
	for expr, want := range map[string]any{"event": "push", `event == "push"`: true, "branch": "main", `branch == "dev"`: false} {
		if got[expr] != want {
			t.Errorf("%s came to %v, want %v; all: %v", expr, got[expr], want, got)
		}
	}
	if got[`index of the element that decided any(payload.list, # == "b")`] != 1 {
		t.Errorf("the deciding element is not shown: %v", got)
	}
}

// TestHostile_EveryEvaluationStopsInTime runs expressions made to run away on payloads made to
// help them.
func TestHostile_EveryEvaluationStopsInTime(t *testing.T) {
	wide := `{"x":[` + strings.Repeat(`{"a":1},`, 1999) + `{"a":2}],"s":"` + strings.Repeat("ab", 10_000) + `","t":"` + strings.Repeat("b", 200_000) + `"}`
	many := `[` + strings.Repeat(`"0123456789",`, 80_000) + `1]`
	deep := strings.Repeat(`[`, 60) + strings.Repeat(`]`, 60)
	for _, expr := range []string{
		`all(payload.x, all(payload.x, all(payload.x, #.a > 0)))`,
		`len(map(payload.x, map(payload.x, payload.s)))`,
		`reduce(payload.x, #acc + payload.s, "") == ""`,
		`replace(payload.s, "a", payload.s) == ""`,
		`replace(replace(payload.s, "a", payload.t), "b", payload.t) == ""`,
		`join(map(payload.x, payload.t), payload.t) == ""`,
		`all(1..1000000000, # > 0)`,
		`len(1..99999999) > 1`,
		`json(map(payload.x, payload)) == ""`,
		`any(payload.x, payload == # || payload == payload)`,
		`all(payload.x, payload.t matches "(a|b|ab)*c|x{1000}")`,
		`payload.t matches "((a?){100}){100}b"`,
		`all(payload.x, !(payload.t contains "zzz"))`,
		`all(payload, not (# in payload))`,
		`all(payload, all(payload, true))`,
		`uniq(map(payload.x, json(payload))) == []`,
		`all(payload.x, glob("**a**b**c**d**e**", payload.s))`,
		`all(payload.x, split(payload.s, "") == [])`,
		`let a = payload.s + payload.s; let b = a + a; let c = b + b; let d = c + c; let e = d + d; let f = e + e; let g = f + f; let h = g + g; h + h + h + h == ""`,
		strings.TrimSuffix(strings.Repeat(`payload == payload && `, 100), " && "),
		`lower(payload.t) == upper(payload.t) || all(payload.x, lower(payload.t) == "")`,
		`sum(map(1..90000, # * 2)) > 0 && all(1..90000, sum(1..90000) > 0)`,
	} {
		for name, body := range map[string]string{"wide": wide, "many": many, "deep": deep} {
			p, err := CompileMatch(expr, Scope{})
			if err != nil {
				continue // refused at load is as good
			}
			in := input(body)
			if _, err := in.Request.Payload(); err != nil {
				t.Fatal(err)
			}
			took, allocated := measure(func() { _, _ = p.Bool(in) })
			if took > 250*time.Millisecond {
				t.Errorf("%s on %s took %s", expr, name, took)
			}
			if allocated > 64<<20 {
				t.Errorf("%s on %s allocated %d MiB", expr, name, allocated>>20)
			}
			if took > 60*time.Millisecond || allocated > 16<<20 {
				t.Logf("%s on %s: %s, %d MiB", expr, name, took, allocated>>20)
			}
		}
	}
}
