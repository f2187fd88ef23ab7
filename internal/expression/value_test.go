package expression

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/request"
)

type valueCase struct {
	expr string
	want any
}

func testValues(t *testing.T, cases []valueCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.expr, func(t *testing.T) {
			got, err := mustCompile(t, tt.expr, Scope{}).Value(input(sample))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			readsEnough(t, mustCompile(t, tt.expr, Scope{}), func() *Input { return input(sample) })
		})
	}
}

func TestValue_MissingIsNil(t *testing.T) {
	testValues(t, []valueCase{
		{`payload.a.b[2].c`, "x"},
		{`payload["a"]["b"][0]`, int64(1)},
		{`payload["a-b"]`, int64(1)},
		{`payload?.a?.b[0]`, int64(1)},
		{`payload?.nope?.b?.[0]?.c`, nil},
		{`payload.nope`, nil},
		{`payload.nope.deeper[3].still`, nil},
		{`payload.nope.deeper == "x"`, false},
		{`payload.nope.deeper != "x"`, true},
		{`payload.nope == nil`, true},
		{`payload.nil == nil`, true},
		{`payload.nil.x == nil`, true},
		{`payload.a.b[9]`, nil},
		{`payload.a.b[-1].c`, "x"},
		{`payload.a.b[-3]`, int64(1)},
		{`payload.a.b[-4]`, nil},
		{`payload.a.b[payload.n]`, nil},
		{`payload.a.b[payload.nope]`, nil},
		{`payload.list.name`, nil},
		{`payload.list["0"]`, nil},
		{`payload.obj[0]`, nil},
		{`payload.s.name`, nil},
		{`payload.s["x"]`, nil},
		{`payload.n.x`, nil},
		{`payload[payload.list]`, nil},
		{`payload[payload.s]`, nil},
		{`payload[payload.list[0]].b[0]`, int64(1)},
		{`payload.nope[0:2]`, nil},
		{`payload.list[0:9]`, []any{"a", "b"}},
		{`payload.list[-1:]`, []any{"b"}},
		{`payload.list[1:0]`, []any{}},
		{`payload.list[payload.nope:1]`, []any{"a"}},
		{`any(payload.nope, # == 1)`, false},
		{`all(nil, # == 1)`, true},
		{`none(payload.nope, true)`, true},
		{`one(payload.nope, true)`, false},
		{`count(payload.nope, true)`, int64(0)},
		{`filter(payload.nope, true)`, []any{}},
		{`map(payload.nope, #)`, []any{}},
		{`find(payload.nope, true)`, nil},
		{`findIndex(payload.nope, true)`, nil},
		{`sum(payload.nope)`, int64(0)},
		{`len(payload.nope)`, int64(0)},
		{`first(payload.nope)`, nil},
		{`last(payload.none)`, nil},
		{`keys(payload.nope)`, []any{}},
		{`split(payload.nope, "/")`, []any{}},
		{`join(payload.nope, "/")`, ""},
		{`lower(payload.nope)`, ""},
		{`min(payload.none)`, nil},
		{`at(payload.nope, "a.b")`, nil},
		{`payload.nope ?? "other"`, "other"},
		{`payload.nil ?? payload.nope ?? 1`, int64(1)},
		{`payload.no ?? true`, false},
		{`"a" in payload.nope`, false},
		{`payload.nope in ["a", nil]`, true},
		{`payload.nope startsWith "te"`, false},
		{`payload.nope endsWith "te"`, false},
		{`payload.nope contains "te"`, false},
		{`payload.nope matches ".*"`, false},
		{`payload.s contains payload.nope`, false},
		{`hasPrefix(payload.nope, "")`, false},
		{`glob("*", payload.nope)`, false},
		{`cidr("0.0.0.0/0", payload.nope)`, false},
		{`semver(payload.nope, ">", "1.0.0")`, false},
		{`header("X-Nope")`, nil},
		{`headers["x-nope"] == nil`, true},
		{`query.nope`, nil},
		{`params.nope`, nil},
		{`form.nope`, nil},
		{`!payload.nope`, true},
		{`payload.nope || payload.yes`, true},
		{`payload.nope && payload.yes`, false},
		{`payload.nope ? 1 : 2`, int64(2)},
		{`filter(payload.commits, .ok)[0].author`, "ann"},
		{`count(payload.commits, not .ok)`, int64(2)},
	})
}

func TestValue_Operators(t *testing.T) {
	testValues(t, []valueCase{
		{`payload.n == 5`, true},
		{`payload.n == 5.0`, true},
		{`payload.five == 5`, true},
		{`payload.five == payload.n`, true},
		{`payload.price == 19.9`, true},
		{`payload.price > 19 && payload.price < 20`, true},
		{`payload.price + 0.1`, 20.0},
		{`payload.n == "5"`, false},
		{`payload.s == 5`, false},
		{`payload.yes == true`, true},
		{`payload.yes == "true"`, false},
		{`payload.big == 9007199254740993`, true},
		{`payload.big == 9007199254740992`, false},
		{`payload.big == 9007199254740992.0`, false},
		{`payload.big > 9007199254740992.0`, true},
		{`payload.huge == payload.huge`, true},
		{`payload.huge > payload.big`, true},
		{`payload.huge == "123456789012345678901234567890"`, false},
		{`payload.neg < payload.zero`, true},
		{`-payload.neg`, int64(3)},
		{`+payload.neg`, int64(-3)},
		{`- payload.f`, -1.5},
		{`payload.n > 4 and payload.n <= 5 and 4 < payload.n and not (payload.n >= 6)`, true},
		{`1 < payload.n < 9`, true},
		{`1 < payload.n < 5`, false},
		{`payload.n + 1`, int64(6)},
		{`payload.n - payload.f`, 3.5},
		{`payload.n * 2`, int64(10)},
		{`payload.n / 2`, 2.5},
		{`payload.n % 3`, int64(2)},
		{`payload.f % 1`, 0.5},
		{`2 ** 3`, 8.0},
		{`2 ^ 3`, 8.0},
		{`payload.s + "!" + 'x'`, "text!x"},
		{`payload.s < "u"`, true},
		{`payload.s startsWith "te" && payload.s endsWith "xt" && payload.s contains "ex"`, true},
		{`payload.s not contains "z"`, true},
		{`payload.ref matches "^refs/heads/(main|dev)$"`, true},
		{"payload.ref not matches `^refs/tags/v\\d`", true},
		{`"a" in payload.list`, true},
		{`"z" not in payload.list`, true},
		{`"x" in payload.obj`, true},
		{`1 in payload.obj`, false},
		{`"X-NAME" in headers`, true},
		{`event in ["push", "ping"]`, true},
		{`payload.n in [4, 5]`, true},
		{`payload.five in [4, 5]`, true},
		{`payload.n in [payload.n, 1]`, true},
		{`payload.n in 1..5`, true},
		{`payload.f in 1..5`, false},
		{`payload.n > 4 ? "yes" : "no"`, "yes"},
		{`if payload.n > 4 { "yes" } else { "no" }`, "yes"},
		{`payload.a.b == [1, 2.0, {"c": "x"}]`, true},
		{`payload.obj == {"x": [true, nil], "y": 1}`, true},
		{`payload.obj == {"x": [true], "y": 1}`, false},
		{`payload.obj != payload.self`, true},
		{`payload.list == ["a"]`, false},
		{`payload.none == []`, true},
		{`payload.nope == []`, false},
		{`[1, payload.n, {"a": payload.s}]`, []any{int64(1), int64(5), map[string]any{"a": "text"}}},
		{`{(payload.s): 1}`, map[string]any{"text": int64(1)}},
		{`1..3`, []any{int64(1), int64(2), int64(3)}},
		{`3..1`, []any{}},
		{`(1..9)[2:4]`, []any{int64(3), int64(4)}},
		{`(1..9)[8]`, int64(9)},
		{`payload.umlaut[2]`, "ü"},
		{`payload.umlaut[1:3]`, "rü"},
		{`payload.umlaut[9]`, nil},
		{`let x = payload.n; x + x`, int64(10)},
		{`let x = payload.n; let y = x + 1; [x, y]`, []any{int64(5), int64(6)}},
		{`event; branch`, "main"},
		{`now() - date(payload.when)`, time.Minute},
		{`now() - duration("1m") == date(payload.when)`, true},
		{`date(payload.when) + duration("1m") == now()`, true},
		{`duration("1m") * 2 + duration("30s") - duration("1s")`, 149 * time.Second},
		{`-duration("1m")`, -time.Minute},
	})
}

func TestValue_Loops(t *testing.T) {
	testValues(t, []valueCase{
		{`any(payload.commits, .author == "bob")`, true},
		{`all(payload.commits, {.author != "eve"})`, true},
		{`none(payload.commits, #.author == "eve")`, true},
		{`one(payload.commits, #.author == "ann")`, true},
		{`any(payload.commits, any(.modified, # == "src/c.go"))`, true},
		{`any(payload.commits, any(#.modified, glob("**/*.go", #)))`, true},
		{`filter(payload.a.b, # == 2)`, []any{int64(2)}},
		{`map(payload.list, upper(#))`, []any{"A", "B"}},
		{`map(1..3, # * 2)`, []any{int64(2), int64(4), int64(6)}},
		{`count(payload.list, # == "a")`, int64(1)},
		{`count([true, false, nil, true])`, int64(2)},
		{`find(payload.commits, .author startsWith "b").author`, "bob"},
		{`findIndex(payload.list, # == "b")`, int64(1)},
		{`sum([1, 2, payload.f])`, 4.5},
		{`sum(payload.commits, len(.modified))`, int64(3)},
		{`reduce(payload.list, #acc + #, "")`, "ab"},
		{`reduce(1..4, #acc + #)`, int64(10)},
		{`reduce(payload.list, #acc + #index, 0)`, int64(1)},
		{`payload.list | map(# + "!") | join(",")`, "a!,b!"},
		{`let names = map(payload.commits, .author); any(names, # == "cy")`, true},
		{`let who = "bob"; any(payload.commits, .author == who)`, true},
	})
}

func TestValue_Names(t *testing.T) {
	testValues(t, []valueCase{
		{`event`, "push"},
		{`hook + method + path + ip`, "hPOST/x/y192.0.2.7"},
		{`header("x-name") + header("X-NAME")`, "vv"},
		{`headers["x-name"] + headers["X-Name"] + headers["X-NAME"]`, "vvv"},
		{`headers["x-two"]`, "1, 2"},
		{`headers`, map[string]any{"x-name": "v", "x-two": "1, 2", "content-type": "application/json"}},
		{`keys(headers)`, []any{"content-type", "x-name", "x-two"}},
		{`len(headers)`, int64(3)},
		{`query.q`, "1"},
		{`query.r`, []any{"1", "2"}},
		{`params.repo`, "site"},
		{`delivery.id + delivery.key`, "DK"},
		{`delivery.received_at == now()`, true},
		{`delivery["id"]`, "D"},
		{`delivery`, map[string]any{"id": "D", "key": "K", "received_at": now}},
		{`branch + sha[:2] + repo + actor + tag`, "main01acme/siteann"},
		{`changed_files`, []any{"docs/a", "b"}},
		{`body startsWith "{" && len(body) > 100`, true},
		{`payload.s`, "text"},
		{`form`, nil},
	})
}

func TestValue_JobNames(t *testing.T) {
	one := 1
	scope := Scope{Job: true}
	for _, tt := range []struct {
		name, expr string
		job        *JobFacts
		want       any
	}{
		{"all of it", `[job.id, job.error, job.output, job.exit_code, attempt]`, &JobFacts{"J", "boom", "out", &one, 2}, []any{"J", "boom", "out", int64(1), int64(2)}},
		{"no exit code", `job.exit_code == nil`, &JobFacts{ID: "J"}, true},
		{"as a mapping", `job`, &JobFacts{ID: "J"}, map[string]any{"id": "J", "error": "", "output": "", "exit_code": nil}},
		{"before a job has ended", `[job, job.error, attempt]`, nil, []any{nil, nil, nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(sample)
			in.Job = tt.job
			got, err := mustCompile(t, tt.expr, scope).Value(in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestValue_OfAnEmptyInput(t *testing.T) {
	for _, expr := range []string{`[event, method, path, ip, hook, branch, tag, repo, sha, actor, body]`, `[payload, form, headers, query, params, delivery, changed_files]`} {
		if _, err := mustCompile(t, expr, Scope{}).Value(&Input{}); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestPayload_IsReadOnlyWhenItIsNeeded(t *testing.T) {
	bad := `{"a":1,"a":2}`
	for _, tt := range []struct {
		expr string
		read bool
	}{
		{`event == "other" && payload.a == 1`, false},
		{`method == "POST" && header("x-name") == "v" && body != ""`, false},
		{`payload.a == 1`, true},
		{`branch == "main"`, true}, // a push that cannot be read is no push to another branch
		{`event == "push" && len(changed_files) > 0`, true},
	} {
		t.Run(tt.expr, func(t *testing.T) {
			_, err := mustCompile(t, tt.expr, Scope{}).Bool(input(bad))
			var undecodable *request.DecodeError
			if errors.As(err, &undecodable) != tt.read {
				t.Errorf("got %v", err)
			}
			if !tt.read && err != nil {
				t.Errorf("got %v although the body is not needed", err)
			}
		})
	}
}

func TestGit_IsAskedOnceAndOnlyWhenItIsNeeded(t *testing.T) {
	in := input(sample)
	asked := 0
	in.Git = func() GitFacts { asked++; return GitFacts{Branch: "main"} }
	if _, err := mustCompile(t, `event == "push" || branch == "x"`, Scope{}).Bool(in); err != nil || asked != 0 {
		t.Errorf("asked %d times, %v, want none", asked, err)
	}
	for range 3 {
		if ok, err := mustCompile(t, `branch == "main" && tag == "" && len(changed_files) == 0`, Scope{}).Bool(in); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

func TestInput_IsSeenAsItIsNow(t *testing.T) {
	in, p := input(sample), mustCompile(t, `event + delivery.key`, Scope{})
	if _, err := p.Value(in); err != nil {
		t.Fatal(err)
	}
	in.Event, in.DeliveryKey = "ping", "L"
	if got, err := p.Value(in); err != nil || got != "pingL" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestUses_SaysWhatAnExpressionMentions(t *testing.T) {
	p := mustCompile(t, `event == "x" && any(payload.list, glob("payloads", #)) && l > 1`, Scope{Lets: []string{"l"}})
	for name, want := range map[string]bool{"event": true, "payload": true, "glob": true, "any": true, "l": true, "body": false, "list": false} {
		if got := p.Uses(name); got != want {
			t.Errorf("uses %s: %t", name, got)
		}
	}
}

func TestValue_LetIsKnownToItsEnd(t *testing.T) {
	testValues(t, []valueCase{
		{`(let x = 1; x) + (let x = 2; x)`, int64(3)},
		{`map(payload.list, let x = #; x + x)`, []any{"aa", "bb"}},
	})
}
