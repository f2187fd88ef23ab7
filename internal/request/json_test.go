package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestDecode_JSONKeepsEveryDigit(t *testing.T) {
	for _, tt := range []struct {
		body string
		want any
	}{
		{`0`, int64(0)},
		{`-1`, int64(-1)},
		{`9007199254740993`, int64(9007199254740993)},
		{`9223372036854775807`, int64(math.MaxInt64)},
		{`-9223372036854775808`, int64(math.MinInt64)},
		{`9223372036854775808`, Number("9223372036854775808")},
		{`123456789012345678901234567890`, Number("123456789012345678901234567890")},
		{`1.5`, 1.5},
		{`0.1`, 0.1},
		{`1.50`, Number("1.50")},
		{`1.0`, Number("1.0")},
		{`1e3`, Number("1e3")},
		{`1e+21`, 1e21},
		{`1e-7`, 1e-7},
		{`0.1000000000000000055511151231257827`, Number("0.1000000000000000055511151231257827")},
		{`"x"`, "x"},
		{`"ÿ\u0000\ud83d\ude00"`, "ÿ\x00😀"},
		{`true`, true},
		{`null`, nil},
		{` [ ] `, []any{}},
		{`{}`, map[string]any{}},
		{`{"a":[1,{"b":null}],"A":2}`, map[string]any{"a": []any{int64(1), map[string]any{"b": nil}}, "A": int64(2)}},
	} {
		t.Run(tt.body, func(t *testing.T) {
			got, err := Decode(FormatJSON, "", []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestDecode_JSONThatParsersDisagreeAboutIsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ body, message string }{
		"duplicate name":          {`{"a":1,"a":2}`, "a name is there twice in one object"},
		"duplicate name, escaped": {`{"a":1,"\u0061":2}`, "a name is there twice in one object"},
		"duplicate name, deep":    {`[{"x":{"a":1,"a":1}}]`, "a name is there twice in one object"},
		"invalid UTF-8":           {"\"\xff\"", "syntax error"},
		"lone surrogate":          {`"\ud800"`, "syntax error"},
		"byte order mark":         {"\ufeff{}", "syntax error"},
		"two documents":           {`{} {}`, "there is more after the value"},
		"trailing text":           {`{}x`, "there is more after the value"},
		"comment":                 {`{} // x`, "there is more after the value"},
		"trailing comma":          {`[1,]`, "syntax error"},
		"single quotes":           {`{'a':1}`, "syntax error"},
		"NaN":                     {`NaN`, "syntax error"},
		"hexadecimal":             {`0x10`, "there is more after the value"},
		"leading zero":            {`01`, "there is more after the value"},
		"plus sign":               {`+1`, "syntax error"},
		"raw line break":          {"\"a\nb\"", "syntax error"},
		"cut off":                 {`{"a":`, "it ends early"},
		"cut off in a name":       {`{"a`, "it ends early"},
		"blanks only":             {"  ", "it ends early"},
		"fraction too large":      {`1e999`, "a number is too large"},
		"integer too large":       {strings.Repeat("9", 400), "a number is too large"},
		"65 levels":               {strings.Repeat("[", 65) + strings.Repeat("]", 65), "nested deeper than 64"},
		"65 levels of objects":    {strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), "nested deeper than 64"},
		"a million levels":        {strings.Repeat("[", 1_000_000), "nested deeper than 64"},
		"too many values":         {"[" + strings.Repeat("{},", maxNodes) + "{}]", "more than 100000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(FormatJSON, "", []byte(tt.body))
			var undecodable *DecodeError
			if !errors.As(err, &undecodable) || undecodable.Format != FormatJSON || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("got %v, want a DecodeError with %q", err, tt.message)
			}
		})
	}
}

func TestDecode_JSONAtItsBoundsIsRead(t *testing.T) {
	for name, body := range map[string]string{
		"64 levels":      strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"100,000 values": "[" + strings.Repeat("0,", maxNodes-2) + "0]",
	} {
		if _, err := Decode(FormatJSON, "", []byte(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecode_ALargeBodyMayHoldAsManyValuesAsItHasRoomFor(t *testing.T) {
	list := func(letters int) []byte {
		value := `"` + strings.Repeat("x", letters) + `",`
		return []byte("[" + strings.Repeat(value, 2*maxNodes) + `""]`)
	}
	if v, err := Decode(FormatJSON, "", list(perNode)); err != nil || len(v.([]any)) != 2*maxNodes+1 {
		t.Error(err)
	}
	if _, err := Decode(FormatJSON, "", list(perNode/2)); err == nil || !strings.Contains(err.Error(), "more than one in 32 bytes") {
		t.Error(err)
	}
}

func TestDecodeError_HoldsNothingOfTheBody(t *testing.T) {
	for _, body := range []string{`{"password":"hunter2","password":"hunter2"}`, `{"a":hunter2}`, `hunter2`, `"hunter2`} {
		if _, err := Decode(FormatJSON, "", []byte(body)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestNumber_IsWrittenAsItCame(t *testing.T) {
	v, err := Decode(FormatJSON, "", []byte(`{"n":[1.50,123456789012345678901234567890,1.5,-0,1e-9]}`))
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if want := `{"n":[1.50,123456789012345678901234567890,1.5,-0,1e-9]}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}

func TestAppendFloat_WritesWhatJSONWrites(t *testing.T) {
	for _, f := range []float64{0, 1, -1.5, 1e20, 1e21, 123456789.125, 1e-6, 1e-7, 1e-10, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)} {
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendFloat(nil, f); string(got) != string(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// FuzzJSONDecode: what is accepted, encoding/json accepts too, and reads as the same value.
func FuzzJSONDecode(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.50,null,true,"\u00e9"]}`, `9223372036854775808`, `[[[]]]`, `"\ud800"`, `{"a":1,"a":2}`, "\"\xff\"", `1e999`, `-0`, `{} `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 {
			return
		}
		got, err := Decode(FormatJSON, "", body)
		if err != nil {
			return
		}
		if !utf8.Valid(body) {
			t.Errorf("accepted what is not UTF-8: %q", body)
		}
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("accepted %q, which encoding/json refuses: %v", body, err)
		}
		if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
			t.Errorf("%q: encoding/json -, ours +:\n%s", body, diff)
		}
	})
}

// plain makes every number its text, whatever its type.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	case json.Number:
		return "number " + string(v)
	case Number:
		return "number " + string(v)
	case int64:
		return fmt.Sprintf("number %d", v)
	case float64:
		return "number " + string(AppendFloat(nil, v))
	}
	return v
}

func sampleBody(b *testing.B) []byte {
	body, err := os.ReadFile("testdata/push.json")
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func BenchmarkDecode_JSON(b *testing.B) {
	body := sampleBody(b)
	for name, decode := range map[string]func() error{
		"ours":          func() error { _, err := Decode(FormatJSON, "", body); return err },
		"encoding/json": func() error { var v any; return json.Unmarshal(body, &v) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode_Large is of bodies of 200 kB: one long text, and a push of many commits.
func BenchmarkDecode_Large(b *testing.B) {
	commit := `{"id":"%040d","message":"Update README.md","timestamp":"2019-05-15T11:20:30-04:00","author":{"name":"Codertocat","username":"Codertocat"},"added":[],"removed":[],"modified":["README.md"],"n":%[1]d},`
	var commits strings.Builder
	for i := 0; commits.Len() < 200_000; i++ {
		fmt.Fprintf(&commits, commit, i)
	}
	for name, body := range map[string]string{
		"text":    `{"ref":"refs/heads/main","text":"` + strings.Repeat("abcdefghijklmnop", 12_500) + `"}`,
		"commits": `{"ref":"refs/heads/main","commits":[` + commits.String() + `null]}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(FormatJSON, "", []byte(body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
