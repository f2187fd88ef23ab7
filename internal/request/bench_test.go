package request

import (
	"os"
	"testing"
)

// BenchmarkParse reads a GitHub push as a rule sees it.
func BenchmarkParse(b *testing.B) {
	body, err := os.ReadFile("testdata/push.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(FormatJSON, "", body); err != nil {
			b.Fatal(err)
		}
	}
}
