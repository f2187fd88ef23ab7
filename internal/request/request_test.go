package request

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecode_ReadsABodyByItsTypeOrItsLook(t *testing.T) {
	object, list := map[string]any{"a": int64(1)}, []any{int64(1)}
	for _, tt := range []struct {
		name, contentType, body string
		format                  Format
		want                    any
	}{
		{name: "JSON", contentType: "application/json", body: `{"a":1}`, want: object},
		{name: "JSON in another case with a charset", contentType: "Application/JSON ; charset=utf-8", body: `{"a":1}`, want: object},
		{name: "a JSON dialect", contentType: "application/vnd.acme+json", body: `{"a":1}`, want: object},
		{name: "no type, looks like an object", body: " \n{\"a\":1}", want: object},
		{name: "no type, looks like a list", body: `[1]`, want: list},
		{name: "no type, looks like text", body: `hello`, want: "hello"},
		{name: "no type, a number is text", body: `1`, want: "1"},
		{name: "text", contentType: "text/plain", body: `{"a":1}`, want: `{"a":1}`},
		{name: "JSON under the type curl -d sends", contentType: "application/x-www-form-urlencoded", body: `{"a":1}`, want: object},
		{name: "the configured format wins", contentType: "text/plain", format: FormatJSON, body: `{"a":1}`, want: object},
		{name: "configured as text", contentType: "application/json", format: FormatText, body: `{"a":1}`, want: `{"a":1}`},
		{
			name: "configured as a form, sent as multipart", contentType: "multipart/form-data; boundary=B", format: FormatForm,
			body: "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--\r\n", want: map[string]any{"a": "1"},
		},
		{name: "empty", contentType: "application/json", body: "", want: nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode(tt.format, tt.contentType, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestDecode_TextIsUTF8(t *testing.T) {
	if _, err := Decode(FormatText, "", []byte("a\xffb")); err == nil || err.Error() != "body is not text: not UTF-8" {
		t.Errorf("got %v", err)
	}
}

func TestPayload_IsReadOnce(t *testing.T) {
	r := &Request{Body: []byte(`{"a":1}`)}
	if _, err := r.Payload(); err != nil {
		t.Fatal(err)
	}
	r.Body = []byte(`{`)
	if got, err := r.Payload(); err != nil || got.(map[string]any)["a"] != int64(1) {
		t.Errorf("got %v, %v: the body was read again", got, err)
	}
	bad := &Request{Body: []byte(`{`)}
	_, first := bad.Payload()
	if _, second := bad.Payload(); first == nil || !errors.Is(second, first) {
		t.Errorf("got %v and then %v, want the same error", first, second)
	}
}

func TestQuery_KeepsWhatCanBeRead(t *testing.T) {
	r := &Request{RawQuery: "a=1&a=2&b=%zz&c=x%20y"}
	if got := r.QueryValue("a") + r.QueryValue("b") + r.QueryValue("c") + r.QueryValue("d"); got != "1x y" {
		t.Errorf("got %q", got)
	}
}

func TestHeaderValue_SaysWhenAHeaderWasSentTwice(t *testing.T) {
	r := &Request{Header: http.Header{"X-One": {"a"}, "X-Two": {"a", "b"}}}
	for _, tt := range []struct {
		name, value string
		ok, twice   bool
	}{{"x-one", "a", true, false}, {"X-TWO", "a", true, true}, {"X-None", "", false, false}} {
		if value, ok, twice := r.HeaderValue(tt.name); value != tt.value || ok != tt.ok || twice != tt.twice {
			t.Errorf("%s: got %q, %t, %t", tt.name, value, ok, twice)
		}
	}
}

func TestForm_IsTheFieldsOfAForm(t *testing.T) {
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, tt := range []struct {
		name string
		r    Request
		want map[string]any
		fail bool
	}{
		{name: "a form", r: Request{Header: form, Body: []byte("a=1&b=2&b=3")}, want: map[string]any{"a": "1", "b": []any{"2", "3"}}},
		{name: "GitHub's form is not unwrapped", r: Request{Header: form, Body: []byte("payload=%7B%7D")}, want: map[string]any{"payload": "{}"}},
		{name: "JSON is no form", r: Request{Body: []byte(`{"a":1}`)}},
		{name: "a broken form", r: Request{Header: form, Body: []byte("a=%zz")}, fail: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.r.Form()
			var undecodable *DecodeError
			if errors.As(err, &undecodable) != tt.fail {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestDecode_XML(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       any
	}{
		{"text alone", `<a> x </a>`, map[string]any{"a": "x"}},
		{"attributes and text", `<a id="1">x</a>`, map[string]any{"a": map[string]any{"@id": "1", "#text": "x"}}},
		{"children", `<?xml version="1.0"?><!-- c --><a><b>1</b><c/></a>`, map[string]any{"a": map[string]any{"b": "1", "c": ""}}},
		{"repeated children", `<a><b>1</b><b>2</b><b>3</b></a>`, map[string]any{"a": map[string]any{"b": []any{"1", "2", "3"}}}},
		{"the five entities", `<a>&lt;&amp;&#65;</a>`, map[string]any{"a": "<&A"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode("", "application/xml", []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
	for name, body := range map[string]string{
		"document type":     `<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>`,
		"unknown entity":    `<a>&e;</a>`,
		"inner declaration": `<a><!ENTITY e "x"></a>`,
		"two elements":      `<a/><b/>`,
		"text after":        `<a/>x`,
		"wrong end":         `<a></b>`,
		"cut off":           `<a><b>`,
		"no element":        `  `,
		"65 levels":         strings.Repeat("<a>", 65) + strings.Repeat("</a>", 65),
		"too many elements": "<a>" + strings.Repeat("<b/>", maxNodes) + "</a>",
	} {
		if got, err := Decode(FormatXML, "", []byte(body)); err == nil {
			t.Errorf("%s was read as %v", name, got)
		}
	}
}
