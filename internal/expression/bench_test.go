package expression

import (
	"os"
	"testing"

	"github.com/tenterhook/tenterhook/internal/request"
)

// rule is what a rule usually looks like.
const rule = `event == "push" && payload.repository.full_name == "acme/site" && branch == "main" && payload.n > 4`

func benchmarkRun(b *testing.B, expr string, in *Input) {
	p := mustCompile(b, expr, Scope{})
	if _, err := p.Bool(in); err != nil { // and the payload is read
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Bool(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	in := input(`{"repository":{"full_name":"acme/site"},"n":5,"commits":[` +
		`{"modified":["a","b"]},{"modified":["c"]},{"modified":["d","e"]},{"modified":["src/f.go"]}]}`)
	b.Run("rule", func(b *testing.B) { benchmarkRun(b, rule, in) })
	b.Run("loops", func(b *testing.B) { benchmarkRun(b, `any(payload.commits, any(.modified, glob("src/**", #)))`, in) })
	b.Run("list of 50,000", func(b *testing.B) {
		long := "[0"
		for range 49_999 {
			long += ",0"
		}
		benchmarkRun(b, `all(payload, # == 0)`, input(long+"]"))
	})
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, rule, Scope{})
	}
}

func BenchmarkTemplate(b *testing.B) {
	t, err := CompileTemplate(`deploy-${{ payload.repository.full_name }}-${{ short(sha) }}`, Scope{})
	if err != nil {
		b.Fatal(err)
	}
	in := input(`{"repository":{"full_name":"acme/site"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := t.Text(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDelivery is all that rules cost a delivery: reading the body, and one rule.
func BenchmarkDelivery(b *testing.B) {
	body, err := os.ReadFile("../request/testdata/push.json")
	if err != nil {
		b.Fatal(err)
	}
	p := mustCompile(b, `event == "push" && payload.ref == "refs/heads/main" && any(payload.commits, any(.modified, glob("src/**", #)))`, Scope{})
	b.ReportAllocs()
	for b.Loop() {
		in := &Input{Event: "push", Request: &request.Request{Body: body}}
		if _, err := p.Bool(in); err != nil {
			b.Fatal(err)
		}
	}
}
