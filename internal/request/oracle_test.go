package request

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// oracle reads JSON with jsontext, which is slower and which others prove, within the same bounds.
type oracle struct {
	*jsontext.Decoder
	nodes int
}

func readByOracle(body []byte) (any, error) {
	o := oracle{jsontext.NewDecoder(bytes.NewReader(body)), mostNodes(body)}
	v, err := o.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := o.ReadToken(); err != io.EOF {
		return nil, errors.New("there is more")
	}
	return v, nil
}

func (o *oracle) value(depth int) (any, error) {
	if o.nodes--; o.nodes < 0 {
		return nil, errWide
	}
	token, err := o.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String())
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	}
	if depth == maxDepth {
		return nil, errDeep
	}
	if token.Kind() == '{' {
		return o.object(depth + 1)
	}
	return o.array(depth + 1)
}

func (o *oracle) object(depth int) (any, error) {
	out := map[string]any{}
	for o.PeekKind() != '}' {
		name, err := o.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if out[key], err = o.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := o.ReadToken()
	return out, err
}

func (o *oracle) array(depth int) (any, error) {
	out := []any{}
	for o.PeekKind() != ']' {
		v, err := o.value(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := o.ReadToken()
	return out, err
}

// FuzzJSONDecode_AsJSONText: the same bodies are read, as the same values.
func FuzzJSONDecode_AsJSONText(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.50,null,true,false,"\u00e9"],"b":{}}`, `9223372036854775808`, `-9223372036854775808`, `[[[]]]`, `"\ud800"`, `"\ud83d\ude00"`, `"\uD83D"`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, "\"\xff\"", `1e999`, `-0`, `{} `, `[1,]`, `{,}`, `{"a":1,}`, `"a\`, `"\u12`, `"\x"`, `01`, `1.`, `1.e1`, `-`, `1E+5`, "\"\x00\"", "\"\x1f\x20\x7f\u2028é\"",
		"\t\r\n [ 1 , 2 ]\f", `truefalse`, `nul`, `"12345678"`, `"1234567\"89012345\\"`, "\"abcdefg\x80hijklmn\"", "\"\xed\xa0\x80\"", "\xef\xbb\xbf1", `[}`, `{]`, `{"a"}`, `{"a":}`, `{1:2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, wantErr := readByOracle(body)
		got, err := decodeJSON(body)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, jsontext: %v", body, err, wantErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: jsontext -, ours +:\n%s", body, diff)
		}
	})
}
