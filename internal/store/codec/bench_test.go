package codec

import (
	"os"
	"testing"
)

// BenchmarkDecode reads a genuine push of 7 kB as a job does.
func BenchmarkDecode(b *testing.B) {
	body, err := os.ReadFile("../../request/testdata/push.json")
	if err != nil {
		b.Fatal(err)
	}
	encoding, stored := Encode(body)
	if encoding != Compressed {
		b.Fatal("it is stored as it is")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(encoding, stored, len(body)); err != nil {
			b.Fatal(err)
		}
	}
}
