package request

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const formType = "application/x-www-form-urlencoded"

func TestDecode_Form(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       any
	}{
		{"fields", "a=1&b=x+y%21", map[string]any{"a": "1", "b": "x y!"}},
		{"a repeated field is a list in order", "a=3&a=1&a=2", map[string]any{"a": []any{"3", "1", "2"}}},
		{"an empty field", "a=&b", map[string]any{"a": "", "b": ""}},
		{"GitHub's payload", "payload=%7B%22n%22%3A1%7D", map[string]any{"n": int64(1)}},
		{"payload beside another field", "payload=%7B%7D&x=1", map[string]any{"payload": "{}", "x": "1"}},
		{"payload twice", "payload=%7B%7D&payload=%7B%7D", map[string]any{"payload": []any{"{}", "{}"}}},
		{"payload that is no object", "payload=%5B1%5D", map[string]any{"payload": "[1]"}},
		{"payload that is text", "payload=x", map[string]any{"payload": "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode("", formType, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestDecode_FormsThatAreRefused(t *testing.T) {
	for name, body := range map[string]string{
		"bad escape":              "a=%zz",
		"semicolon":               "a=1;b=2",
		"invalid UTF-8":           "a=%ff",
		"invalid UTF-8 in a name": "%ff=a",
		"1,001 fields":            strings.Repeat("a=1&", 1000) + "a=1",
		"broken GitHub payload":   "payload=%7B%22a%22",
	} {
		if got, err := Decode("", formType, []byte(body)); err == nil {
			t.Errorf("%s was read as %v", name, got)
		}
	}
	if _, err := Decode("", formType, []byte(strings.Repeat("a=1&", 999)+"a=1")); err != nil {
		t.Errorf("1,000 fields: %v", err)
	}
}

func part(disposition, contentType, content string) string {
	head := "--B\r\nContent-Disposition: form-data; " + disposition + "\r\n"
	if contentType != "" {
		head += "Content-Type: " + contentType + "\r\n"
	}
	return head + "\r\n" + content + "\r\n"
}

func TestDecode_Multipart(t *testing.T) {
	body := part(`name="a"`, "", "1") + part(`name="a"`, "", "2") +
		part(`name="f"; filename="../../x.txt"`, "text/plain", "hello") +
		part(`name="g"; filename="x.bin"`, "", "\xff\x00") + "--B--\r\n"
	want := map[string]any{
		"a": []any{"1", "2"},
		"f": map[string]any{"filename": "x.txt", "content_type": "text/plain", "size": int64(5), "content": "hello"},
		"g": map[string]any{"filename": "x.bin", "content_type": "", "size": int64(2)},
	}
	got, err := Decode("", `multipart/form-data; boundary="B"`, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestDecode_MultipartThatIsRefused(t *testing.T) {
	many := ""
	for i := range 33 {
		many += part(fmt.Sprintf("name=f%d", i), "", "x")
	}
	for name, tt := range map[string]struct{ contentType, body string }{
		"no boundary":            {"multipart/form-data", part("name=a", "", "1") + "--B--\r\n"},
		"cut off":                {"multipart/form-data; boundary=B", part("name=a", "", "1")},
		"not multipart at all":   {"multipart/form-data; boundary=B", "hello"},
		"33 parts":               {"multipart/form-data; boundary=B", many + "--B--\r\n"},
		"a field of other bytes": {"multipart/form-data; boundary=B", part("name=a", "", "\xff") + "--B--\r\n"},
	} {
		if got, err := Decode("", tt.contentType, []byte(tt.body)); err == nil {
			t.Errorf("%s was read as %v", name, got)
		}
	}
}

// FuzzFormDecode: what is accepted is what net/url reads, each value where it was.
func FuzzFormDecode(f *testing.F) {
	for _, seed := range []string{"a=1&b=2", "a=1&a=2", "payload=%7B%7D", "a=%ff", "a;b", "=", "&&", "a=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := decodeForm([]byte(body))
		if err != nil {
			return
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("accepted %q, which net/url refuses: %v", body, err)
		}
		got := url.Values{}
		for name, value := range form {
			switch v := value.(type) {
			case string:
				got[name] = []string{v}
			case []any:
				for _, item := range v {
					got[name] = append(got[name], item.(string))
				}
			}
			if !utf8.ValidString(strings.Join(got[name], name)) {
				t.Errorf("accepted what is not UTF-8: %q", body)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: net/url -, ours +:\n%s", body, diff)
		}
	})
}
