package verify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func TestHMAC_Check(t *testing.T) {
	for _, tt := range []struct {
		name   string
		adjust func(*HMAC)
		want   []string // path: message (hints)
	}{
		{"defaults", func(*HMAC) {}, nil},
		{"no source", func(h *HMAC) { h.Header = nil }, []string{": says nowhere where to look: one of header, query and field is needed (header: X-Signature)"}},
		{"two sources", func(h *HMAC) { h.Query = "s" }, []string{": only one of header, query and field can be given"}},
		{"header name", func(h *HMAC) { h.Header = []string{"X Signature"} }, []string{`header: "X Signature" is not the name of a header`}},
		{"hash", func(h *HMAC) { h.Hash = "SHA-256" }, []string{`hash: hash cannot be "SHA-256": it is one of md5, sha1, sha256, sha384, sha512 (did you mean "sha256"?)`}},
		{"hash far from all", func(h *HMAC) { h.Hash = "whirlpool" }, []string{`hash: hash cannot be "whirlpool": it is one of md5, sha1, sha256, sha384, sha512`}},
		{"encoding", func(h *HMAC) { h.Encoding = "bas64" }, []string{`encoding: encoding cannot be "bas64": it is one of hex, hex-lower, base64, base64url (did you mean "base64"?)`}},
		{"secret encoding", func(h *HMAC) { h.SecretEncoding = "utf-8" }, []string{`secret_encoding: secret_encoding cannot be "utf-8": it is one of utf8, hex, base64 (did you mean "utf8"?)`}},
		{"prefix", func(h *HMAC) { h.Prefix = new("sha256=\n") }, []string{"prefix: prefix has a character that a header cannot carry"}},
		{"placeholder", func(h *HMAC) { h.Signed = "{timestmp}.{body}" }, []string{"signed: signed has an unknown placeholder {timestmp} (did you mean {timestamp}?; known are {body} {timestamp} {id} {method} {url} {path} {query} {form} {body_sha256} {header:NAME} {query:NAME} {field:a.b})"}},
		{"header placeholder without a name", func(h *HMAC) { h.Signed = "{header}{body}" }, []string{"signed: signed has an unknown placeholder {header} (did you mean {header:NAME}?; known are {body} {timestamp} {id} {method} {url} {path} {query} {form} {body_sha256} {header:NAME} {query:NAME} {field:a.b})"}},
		{"brace", func(h *HMAC) { h.Signed = "{body" }, []string{"signed: signed has a brace that belongs to no placeholder"}},
		{"empty placeholder", func(h *HMAC) { h.Signed = "{}{body}" }, []string{"signed: signed has an empty placeholder {}"}},
		{"nothing signed", func(h *HMAC) { h.Signed = "" }, []string{`signed: signed is empty (signed: "{body}")`}},
		{"timestamp from nowhere", func(h *HMAC) { h.Signed = "{timestamp}.{body}" }, []string{"signed: signed has {timestamp}, but nothing says where it is (timestamp: {header: X-Timestamp})"}},
		{"id from nowhere", func(h *HMAC) { h.Signed = "{id}.{body}" }, []string{"signed: signed has {id}, but nothing says where it is (id: {header: X-Id})"}},
		{"two timestamps", func(h *HMAC) { inPairs(h); h.Timestamp.Header = "X-Time" }, []string{"timestamp.key: only one of header, key and field can be given"}},
		{"timestamp key without pairs", func(h *HMAC) { h.Timestamp.Key = "t" }, []string{"timestamp.key: a timestamp's key needs signature_key: both are in the same header (signature_key: v1)"}},
		{"unit", func(h *HMAC) { h.Timestamp.Header, h.Timestamp.Unit = "X-Time", "sec" }, []string{`timestamp.unit: unit cannot be "sec": it is one of s, ms, rfc3339, http-date (did you mean "s"?)`}},
		{"no tolerance", func(h *HMAC) { h.Timestamp.Header, h.Timestamp.Tolerance = "X-Time", 0 }, []string{"timestamp.tolerance: tolerance is at least 1s: clocks differ"}},
		{"tolerance of nothing", func(h *HMAC) { h.Tolerance = new(time.Minute) }, []string{"tolerance: tolerance has nothing to compare: there is no timestamp (timestamp: {header: X-Timestamp})"}},
		{"negative tolerance", func(h *HMAC) { inPairs(h); h.Tolerance = new(-time.Minute) }, []string{"tolerance: tolerance is at least 1s: clocks differ"}},
		{"signed but not required", func(h *HMAC) { inPairs(h); h.Timestamp.Required = false }, []string{"timestamp.required: a signed timestamp is always required"}},
		{"prefix and pairs", func(h *HMAC) { inPairs(h); h.Prefix = new("v1=") }, []string{"prefix: prefix has no meaning beside signature_key"}},
		{"one key for both", func(h *HMAC) { inPairs(h); h.SignatureKey = "t" }, []string{"signature_key: the signature and the timestamp cannot have the same key"}},
		{"body signs itself", func(h *HMAC) { h.Header, h.Field = nil, "sig" }, []string{`signed: a signature inside the body cannot sign {body} (signed: "{field:a.b}")`}},
		{"query signs itself", func(h *HMAC) { h.Header, h.Query, h.Signed = nil, "sig", "{url}{body}" }, []string{"signed: a signature inside the query cannot sign {url} or {query} (sign {path} and {query:NAME})"}},
		{"everything at once", func(h *HMAC) { h.Hash, h.ID.Header = "x", "a b" }, []string{`hash: hash cannot be "x": it is one of md5, sha1, sha256, sha384, sha512`, `id.header: "a b" is not the name of a header`}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantProblems(t, inHeader(tt.adjust).Check(), tt.want) })
	}
}

func wantProblems(t *testing.T, problems []Problem, want []string) {
	t.Helper()
	var got []string
	for _, p := range problems {
		if p.Warning {
			continue // see TestHMAC_WarnsOfWhatIsReadAndNotSigned
		}
		line := strings.Join(p.Path, ".") + ": " + p.Message
		if p.Hints != nil {
			line += " (" + strings.Join(p.Hints, "; ") + ")"
		}
		got = append(got, line)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("problems are\n%q\nwant\n%q", got, want)
	}
}

func FuzzHMAC_ListHeader(f *testing.F) {
	f.Add(hello)
	f.Add("sha256=" + hello + ", " + hello)
	f.Add("sha256=,,,  =")
	fuzzHeader(f, inHeader())
}

func FuzzHMAC_PairHeader(f *testing.F) {
	f.Add("t=1700000000,v1=" + hello)
	f.Add("t=;v1=;t=,=v1")
	fuzzHeader(f, inHeader(inPairs))
}

func FuzzHMAC_Base64Header(f *testing.F) {
	f.Add("kwezuRXvtRcf8U2MtV+8x5jGwO8UVtZt7RpqpyOli3s=")
	fuzzHeader(f, inHeader(func(h *HMAC) { h.Encoding = base64URL }))
}

// fuzzHeader looks for a panic, and for a header other than the signed one that is accepted for
// a secret the fuzzer cannot know.
func fuzzHeader(f *testing.F, v Verifier) {
	f.Fuzz(func(t *testing.T, value string) {
		if _, err := v.Verify(post("hello", "X-Signature: "+value), secrets("a secret nobody knows"), now); err == nil {
			t.Errorf("%q verifies", value)
		}
	})
}

func FuzzHMAC_Check(f *testing.F) {
	f.Add("{timestamp}.{body}", "sha256=", "v1")
	f.Add("{", "}", "{}")
	f.Fuzz(func(t *testing.T, template, prefix, key string) {
		h := inHeader(func(h *HMAC) { h.Signed, h.Prefix, h.SignatureKey = template, &prefix, key })
		if h.Check() != nil {
			return
		}
		r := &request.Request{Body: []byte("{}"), Header: post("", "X-Signature: x").Header}
		if _, err := h.Verify(r, secrets("key"), now); err == nil {
			t.Errorf("a one-letter signature verifies with %+v", h)
		}
	})
}

func TestHMAC_WarnsOfWhatIsReadAndNotSigned(t *testing.T) {
	for what, tt := range map[string]struct {
		adjust func(*HMAC)
		want   int
	}{
		"a timestamp":        {func(h *HMAC) { h.Timestamp.Header = "X-Time" }, 1},
		"an id":              {func(h *HMAC) { h.ID.Header = "X-Id" }, 1},
		"both, signed":       {func(h *HMAC) { h.Timestamp.Header, h.ID.Header, h.Signed = "X-Time", "X-Id", "{id}.{timestamp}.{body}" }, 0},
		"signed as a header": {func(h *HMAC) { h.Timestamp.Header, h.Signed = "X-Time", "{header:X-Time}{body}" }, 0},
	} {
		warnings := 0
		for _, p := range inHeader(tt.adjust).Check() {
			if p.Warning {
				warnings++
			} else {
				t.Errorf("%s: %s", what, p.Message)
			}
		}
		if warnings != tt.want {
			t.Errorf("%s: %d warnings", what, warnings)
		}
	}
}
