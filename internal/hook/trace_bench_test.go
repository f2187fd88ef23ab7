package hook

import (
	"os"
	"testing"
)

// BenchmarkPlan is a decision on a real push, and what of it the values cost that are kept: without
// them, while they are noted, and with them made into what is stored.
func BenchmarkPlan(b *testing.B) {
	body, err := os.ReadFile("../request/testdata/push.json")
	if err != nil {
		b.Fatal(err)
	}
	h := compiled(b, `[{name: site, path: /x, provider: github, secret: 0123456789abcdef, run: ":",
		match: 'event == "push" && payload.repository.private == false && any(payload.commits, "README.md" in .modified) && branch == "main"'}]`).Hook("site")
	r, id := posted("/x", string(body)), Identity{Key: "k", Event: "push"}
	if _, err := r.Payload(); err != nil {
		b.Fatal(err)
	}
	rule := h.Rules[0]
	b.Run("read the body", func(b *testing.B) {
		for b.Loop() {
			if _, err := posted("/x", string(body)).Payload(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("without values", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rule.decide(h.input(r, id, "d"), false)
		}
	})
	b.Run("noted", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rule.decide(h.input(r, id, "d"), true)
		}
	})
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			made := rule.decide(h.input(r, id, "d"), true)
			newTrace(h).verdict(rule, &made)
		}
	})
}
