package request

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reduce is what Part should leave of a value.
func reduce(v any, wanted Fields) any {
	object, ok := v.(map[string]any)
	if !ok || wanted == nil {
		return v
	}
	out := map[string]any{}
	for name, of := range wanted {
		if value, ok := object[name]; ok {
			out[name] = reduce(value, of)
		}
	}
	return out
}

// some wants about a half of what is there, and some that is not.
func some(v any, odd bool) Fields {
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	f := Fields{"not there": Fields{"x": nil}}
	for name, value := range object {
		if len(name)%2 == 0 != odd {
			f[name] = some(value, !odd)
		}
	}
	return f
}

func samePart(t *testing.T, body []byte) {
	t.Helper()
	whole := &Request{Format: FormatJSON, Body: body}
	want, wantErr := whole.Payload()
	for _, wanted := range []Fields{{}, {"a": nil}, {"a": {"b": nil}}, some(want, true), some(want, false)} {
		r := &Request{Format: FormatJSON, Body: body}
		for range 2 {
			got, err := r.Part(&wanted)
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("%v of %.200q says %v instead of %v", wanted, body, err, wantErr)
			}
			if wanted := reduce(want, wanted); !reflect.DeepEqual(wanted, got) { // not cmp, which takes ages over deep lists
				t.Fatalf("%.200q: %v instead of %v", body, got, wanted)
			}
		}
		if got, err := r.Payload(); err == nil && !reflect.DeepEqual(want, got) {
			t.Fatalf("after a part the payload is %v instead of %v", got, want)
		}
	}
}

var awkward = []string{
	``, ` `, `null`, `7`, `"x"`, `[]`, `{}`, `[{"a":1}]`, `{"a":{"b":1,"c":2},"d":[1,2]}`, `{"a":[{"b":1}],"b":2}`,
	`{"a":"x\u00e9\n","\u0061b":1,"a\tb":"\ud83d\ude00"}`, `{"x":1.50,"y":1e3,"z":9223372036854775808,"a":-0}`,
	`{"a":1,"a":2}`, `{"x":1,"x":2}`, `{"x":{"a":1,"\u0061":2}}`, `{"x":1e999}`, `{"a":1e999}`, `{"x":[1,-1e400]}`, `{"x":"\xff"}`, `{"x":"\ud800"}`,
	`{"x":[1,2}`, `{"x":1,}`, `{"x"}`, `{"x":tru}`, `{"x":1`, `{"x":"`, `{"a":1} x`, `{"a":1}{}`, `[{{`, `{{`, `{1:2}`, `{"x":{[]:1}}`,
	`{"x":` + strings.Repeat("1", 400) + `}`, `{"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
	`{"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, `{"x":` + strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64) + `}`,
	`{"x":[` + strings.Repeat("1,", maxNodes-3) + `1]}`, `{"x":[` + strings.Repeat("1,", maxNodes-2) + `1]}`,
}

func TestPart_IsThePayloadWithoutTheRest(t *testing.T) {
	for _, body := range awkward {
		samePart(t, []byte(body))
	}
	samples, err := filepath.Glob("../provider/samples/*.json")
	if err != nil || len(samples) < 10 {
		t.Fatal(len(samples), err)
	}
	for _, name := range samples {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		samePart(t, body)
	}
}

func TestFields_AShorterPathTakesAllThatIsBelow(t *testing.T) {
	f := Fields{}.With("a", "b").With("c").With("a", "d", "e").With("c", "f").With("a", "b", "g")
	if diff := cmp.Diff(Fields{"a": {"b": nil, "d": {"e": nil}}, "c": nil}, f); diff != "" {
		t.Error(diff)
	}
	if f = f.With("a"); f["a"] != nil {
		t.Error(f)
	}
	if f = f.With(); f != nil || f.With("x") != nil {
		t.Error(f, "the whole is not the whole any more")
	}
}

// FuzzPart compares what is read of a body with all of it.
func FuzzPart(f *testing.F) {
	for _, body := range awkward {
		if len(body) < 1000 {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(samePart)
}

// BenchmarkPart is a genuine push of which a rule about its branch reads five values, and all of it.
func BenchmarkPart(b *testing.B) {
	body, err := os.ReadFile("testdata/push.json")
	if err != nil {
		b.Fatal(err)
	}
	branch := Fields{}.With("ref").With("after").With("repository", "full_name").With("sender", "login").With("pusher", "name")
	for name, wanted := range map[string]*Fields{"branch": &branch, "whole": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (&Request{Format: FormatJSON, Body: body}).Part(wanted); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
