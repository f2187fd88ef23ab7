package request

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecode_JSONLinesAreAList(t *testing.T) {
	got, err := Decode("", "application/x-ndjson", []byte("{\"a\":1}\n\n[2]\r\n\"x\""))
	if diff := cmp.Diff([]any{map[string]any{"a": int64(1)}, []any{int64(2)}, "x"}, got); diff != "" || err != nil {
		t.Errorf("%v, want -, got +:\n%s", err, diff)
	}
	for _, bad := range []string{"{}\n{", "{} {}", strings.Repeat("1\n", maxLines+1)} {
		if _, err := Decode(FormatLines, "", []byte(bad)); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}

func TestDecode_BinaryIsNotParsedAndIsNoMistake(t *testing.T) {
	binary := []byte("\x89PNG\xff\xfe")
	if got, err := Decode("", "image/png", binary); got != nil || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for what, contentType := range map[string]string{"declared": "text/plain", "JSON": "application/json"} {
		if _, err := Decode("", contentType, binary); err == nil {
			t.Errorf("%s: was read", what)
		}
	}
	if _, err := Decode(FormatText, "", binary); err == nil {
		t.Error("configured as text: was read")
	}
}
