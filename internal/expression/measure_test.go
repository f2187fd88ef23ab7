package expression

import (
	"runtime"
	"testing"
	"time"
)

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

func BenchmarkMatch(b *testing.B) {
	p, err := CompileMatch(`event == "push" && branch == "main" && payload.n > 4`, Scope{})
	if err != nil {
		b.Fatal(err)
	}
	in := input(sample)
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := p.Bool(in); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func FuzzCompileAndRun(f *testing.F) {
	for _, seed := range []string{`payload.a == 1`, `any(payload, # == 1)`, `"a" + payload.s`, `payload.a[1:2]`, `let x = 1; x`, `payload?.a ?? 1`, `{"a": [1..3]}`, `#`, `1..100000`, `x`} {
		f.Add(seed, sample)
	}
	f.Fuzz(func(t *testing.T, source, body string) {
		p, err := Compile(source, Scope{})
		if err != nil {
			return
		}
		in := input(body)
		if _, err := in.Request.Payload(); err != nil {
			return
		}
		began := time.Now()
		v, err := p.Value(in)
		if took := time.Since(began); took > time.Second {
			t.Errorf("%q took %s", source, took)
		}
		if err == nil {
			_ = describeJSON(v)
		}
		_ = p.Explain(in)
	})
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{`a ${{ payload.s }}`, `${{`, `${{ "}}" }}`, `$${{ 1 }}`, `${{ {"a": 1} }}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tpl, err := CompileTemplate(source, Scope{})
		if err != nil {
			return
		}
		_, _, _ = tpl.Text(input(sample))
	})
}
