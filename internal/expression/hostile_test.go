package expression

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hostilePayloads help an expression to run away.
func hostilePayloads() map[string]string {
	names := make([]string, 50_000)
	for i := range names {
		names[i] = fmt.Sprintf(`"k%d":%d`, i, i)
	}
	return map[string]string{
		"wide":  `{"x":[` + strings.Repeat(`{"a":1},`, 1999) + `{"a":2}],"s":"` + strings.Repeat("ab", 10_000) + `","t":"` + strings.Repeat("b", 200_000) + `"}`,
		"many":  `[` + strings.Repeat(`"0123456789",`, 80_000) + `1]`,
		"deep":  strings.Repeat(`[`, 60) + strings.Repeat(`]`, 60),
		"names": `{"x":{` + strings.Join(names, ",") + `},"s":"a","t":"` + strings.Repeat("a", 900_000) + `"}`,
		"lists": `{"x":[` + strings.TrimSuffix(strings.Repeat(`[1,2,3,4,5,6,7,8,9],`, 8000), ",") + `],"s":"` + strings.Repeat("ü", 100_000) + `","t":"x"}`,
	}
}

// hostileExpressions try to take long or much. Those that are refused at load are no worse.
var hostileExpressions = []string{
	`all(payload.x, all(payload.x, all(payload.x, #.a > 0)))`,
	`all(payload, all(payload, all(payload, true)))`,
	`any(payload.x, any(payload.x, #.a == 99 || #.a == 98 || #.a == 97 || #.a == 96 || #.a == 95))`,
	`none(payload.x, one(payload.x, # == nil))`,
	`len(map(payload.x, map(payload.x, payload.s)))`,
	`len(filter(payload.x, len(filter(payload.x, true)) > 0))`,
	`reduce(payload.x, #acc + payload.s, "") == ""`,
	`reduce(1..99999, #acc + "x", "") == ""`,
	`reduce(payload, #acc + string(#), "") == ""`,
	`reduce(1..99999, [#acc, #acc], 1) == 1`,
	`json(reduce(1..60, [#acc, #acc], 1)) == ""`,
	`let l = reduce(1..60, [#acc, #acc], 1); l == l`,
	`let l = reduce(1..60, {"a": #acc, "b": #acc}, 1); l == reduce(1..60, {"a": #acc, "b": #acc}, 1)`,
	`reduce(1..60, #acc * #acc, 2) > 1`,
	`replace(payload.s, "a", payload.s) == ""`,
	`replace(replace(payload.s, "a", payload.t), "b", payload.t) == ""`,
	`replace(payload.t, "", payload.s) == ""`,
	`all(payload.x, replace(payload.t, "b", "cc") != "")`,
	`join(map(payload.x, payload.t), payload.t) == ""`,
	`join(payload, "") == join(payload, ",") + join(payload, ";")`,
	`all(payload.x, join(payload.x, "") != "")`,
	`all(1..1000000000, # > 0)`,
	`len(1..99999999) > 1`,
	`len(-9223372036854775808..9223372036854775807) > 1`,
	`all(1..99999, len(1..99999) > 1)`,
	`5 in 1..99999 && all(1..99999, 5 in 1..99999)`,
	`json(map(payload.x, payload)) == ""`,
	`all(payload.x, json(payload) != "")`,
	`all(payload, string(payload) != "")`,
	`text(payload) == json(payload)`,
	`any(payload.x, payload == # || payload == payload)`,
	`all(payload.x, payload.t == payload.t)`,
	`payload == payload && payload.x == payload.x && payload.t == payload.t`,
	`all(payload.x, payload.t matches "(a|b|ab)*c|x{1000}")`,
	`payload.t matches "((a?){100}){10}b"`,
	`payload.t matches "(a?){500}(a){500}c"`,
	`payload.t matches "(x+x+)+y" || payload.t matches "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)[^ab]$"`,
	`all(payload.x, payload.t matches "a.{0,500}c$")`,
	`all(payload.x, !(payload.t contains "zzz"))`,
	`all(payload, not (# in payload))`,
	`all(payload, # in ["a", "b", "c", "d"] || !(# in payload))`,
	`all(payload, all(payload, # + # != ""))`,
	`uniq(map(payload.x, json(payload))) == []`,
	`all(payload, len(uniq(payload)) > 0)`,
	`all(payload.x, glob("**a**b**c**d**e**", payload.s))`,
	`all(payload.x, glob(payload.t, payload.s))`,
	`all(payload, glob("**/*/**/*/**/x", #))`,
	`all(payload.x, split(payload.s, "") == [])`,
	`all(payload.x, len(split(payload.s, "a")) > 0)`,
	`all(payload.x, keys(payload.x) == values(payload.x))`,
	`all(1..99999, len(keys(payload.x)) > 0)`,
	`let a = payload.s + payload.s; let b = a + a; let c = b + b; let d = c + c; let e = d + d; let f = e + e; let g = f + f; let h = g + g; h + h + h + h == ""`,
	strings.TrimSuffix(strings.Repeat(`payload == payload && `, 100), " && "),
	strings.TrimSuffix(strings.Repeat(`json(payload) != "" && `, 100), " && "),
	strings.TrimSuffix(strings.Repeat(`payload.t != lower(payload.t + payload.t) && `, 50), " && "),
	strings.TrimSuffix(strings.Repeat(`len(payload.s[1:]) > 1 && `, 100), " && "),
	`lower(payload.t) == upper(payload.t) || all(payload.x, lower(payload.t) == "")`,
	`all(1..99999, trim(payload.t, "b") != "x" && trim(payload.s, "ßäöü") != "x")`,
	`all(1..99999, payload.s[99:100] != "x" && payload.s[50] != "x" && indexOf(payload.s, "zz") < 0)`,
	`sum(map(1..90000, # * 2)) > 0 && all(1..90000, sum(1..9000) > 0)`,
	`all(1..99999, max(payload) > min(payload))`,
	`all(1..99999, fromBase64(toBase64(payload.t)) != "")`,
	`all(1..99999, fromJSON(json(payload)) != nil)`,
	`all(1..99999, fromJSON("[" + join(payload.x, ",") + "]") != nil)`,
	`all(1..99999, at(payload, payload.s) == nil && at(payload, "x.x.x.x.x.x.x.x") == nil)`,
	`all(1..99999, in_window("Mon-Fri 09:00-17:00", "Europe/Berlin") || semver(payload.s, ">", "1.0.0") || cidr("10.0.0.0/8", payload.s))`,
	`all(1..99999, age(payload.s) > duration("1s"))`,
	`map(1..99999, {"a": #, "b": {"c": #}}) == []`,
	`map(1..99999, [#, #, #, #, #, #, #, #]) == []`,
	`map(1..99999, payload.s + string(#)) == []`,
	`body + body + body + body + body + body == ""`,
	`all(1..99999, body contains "zzzzzz" || len(body) < 0)`,
	`all(1..99999, len(headers) + len(keys(query)) > 0)`,
	`all(changed_files, any(1..99999, # == 0))`,
}

// farTooLong is what no evaluation takes however busy the machine is: an expression without its
// bounds runs for minutes. What it takes on a quiet machine is in the log.
const farTooLong = 20 * time.Second

func TestHostile_EveryEvaluationStopsInTime(t *testing.T) {
	var slowest, largest struct {
		what      string
		took      time.Duration
		allocated uint64
	}
	for name, body := range hostilePayloads() {
		in := input(body)
		if _, err := in.Request.Payload(); err != nil {
			t.Fatal(name, err)
		}
		payload := in.Request
		for _, expr := range hostileExpressions {
			p, err := Compile(expr, Scope{})
			if err != nil {
				continue
			}
			in := input(body)
			in.Request = payload // parsed once
			took, allocated := measure(func() { _, err = p.Bool(in) })
			what := fmt.Sprintf("%s on %s: %s, %d KiB (%v)", cut(expr), name, took.Round(time.Millisecond), allocated>>10, err)
			if took > farTooLong || allocated > 24<<20 {
				t.Error(what)
			}
			if took > slowest.took {
				slowest.what, slowest.took = what, took
			}
			if allocated > largest.allocated {
				largest.what, largest.allocated = what, allocated
			}
			var eval *EvalError
			if err != nil && !errors.As(err, &eval) {
				t.Errorf("%s: %v is no EvalError", expr, err)
			}
		}
	}
	t.Logf("slowest: %s", slowest.what)
	t.Logf("largest: %s", largest.what)
}

// measure returns how long f took and how many bytes it allocated in all.
func measure(f func()) (time.Duration, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	f()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

func TestHostile_EachBoundIsNamed(t *testing.T) {
	long := `{"s":"` + strings.Repeat("x", 1<<20) + `","l":[` + strings.Repeat("0,", 5000) + `0]}`
	exceeds := func(t *testing.T, expr string, want error) {
		t.Helper()
		_, err := mustCompile(t, expr, Scope{}).Value(input(long))
		if eval, ok := errors.AsType[*EvalError](err); !ok || eval.Message != want.Error() {
			t.Errorf("%s: got %v, want %v", expr, err, want)
		}
	}
	exceeds(t, `all(payload.l, !(payload.s contains "y"))`, errTime)
	// The others in a bubble, whose clock stands still: on a busy machine the time's bound comes first.
	synctest.Test(t, func(t *testing.T) {
		exceeds(t, `all(payload.l, all(payload.l, all(payload.l, # < 1)))`, errBytes)
		exceeds(t, `reduce(1..20, #acc + #acc, payload.s)`, errBytes)
		exceeds(t, `all(payload.l, upper(payload.s) != "")`, errBytes)
		exceeds(t, `1..200000`, errElements)
		exceeds(t, `map(payload.l, [`+strings.Repeat("#,", 25)+`])`, errElements)
	})
}

func TestHostile_ReadingTheBodyTakesNoneOfTheTime(t *testing.T) {
	body := `[` + strings.Repeat(`{"a":{"b":"c"}},`, 30_000) + `1]` // some 10 ms
	p := mustCompile(t, strings.TrimSuffix(strings.Repeat(`payload[0].a.b == "c" && `, 20), " && "), Scope{})
	if ok, err := p.Bool(input(body)); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
}

func TestInput_OneProgramCanBeUsedByManyGoroutines(t *testing.T) {
	p := mustCompile(t, `event == "push" && any(payload.commits, any(.modified, glob("src/**", #))) && mine == 5`, Scope{Lets: []string{"mine"}})
	lets, _ := mustLets(t, LetSource{"mine", `payload.n`})
	done := make(chan error)
	for range 8 {
		go func() {
			for range 50 {
				in := input(sample)
				in.Lets = lets
				if ok, err := p.Bool(in); !ok || err != nil {
					done <- fmt.Errorf("got %v, %w", ok, err)
					return
				}
				if _, values, _ := p.Explain(in); len(values) == 0 {
					done <- errors.New("nothing to explain")
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
