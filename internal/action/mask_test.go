package action

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// maskedIn writes the parts one by one.
func maskedIn(t *testing.T, secrets []string, parts ...string) string {
	t.Helper()
	var out bytes.Buffer
	m := newMask(secrets).writer(&out)
	for _, part := range parts {
		if n, err := m.Write([]byte(part)); err != nil || n != len(part) {
			t.Fatalf("wrote %d of %d: %v", n, len(part), err)
		}
	}
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMasker_ReplacesEverySecretInAnyPieces(t *testing.T) {
	for name, tt := range map[string]struct {
		secrets []string
		output  string
		want    string
	}{
		"none":                                  {nil, "as it is", "as it is"},
		"an empty one":                          {[]string{""}, "as it is", "as it is"},
		"alone":                                 {[]string{"hunter2"}, "hunter2", "[redacted]"},
		"twice in a row":                        {[]string{"hunter2"}, "hunter2hunter2", "[redacted][redacted]"},
		"begun and not ended":                   {[]string{"hunter2"}, "hunter", "hunter"},
		"begun twice":                           {[]string{"aab"}, "aaab", "a[redacted]"},
		"one that begins another":               {[]string{"abcd", "abcdefgh"}, "abcdefgh abcd abcdef", "[redacted] [redacted] [redacted]ef"},
		"one that ends another":                 {[]string{"efgh", "abcdefgh"}, "abcdefgh efgh", "[redacted] [redacted]"},
		"one inside another":                    {[]string{"cdef", "abcdefgh"}, "abcdefgh", "[redacted]"},
		"one inside another that does not come": {[]string{"cdef", "abcdefgh"}, "abcdefXX", "ab[redacted]XX"},
		"two that overlap":                      {[]string{"abcdef", "efghij"}, "abcdefghij", "[redacted]"},
		"three that overlap":                    {[]string{"abcd", "cdef", "efgh"}, "-abcdefgh-", "-[redacted]-"},
		"one that overlaps itself":              {[]string{"abab"}, "ababab", "[redacted]"},
		"several lines":                         {[]string{"one\ntwo\n"}, "one\ntwo\nthree", "[redacted]three"},
		"bytes that are not text":               {[]string{"a\x00\xffb"}, "x\x00a\x00\xffb\xff", "x\x00[redacted]\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := maskedIn(t, tt.secrets, tt.output); got != tt.want {
				t.Errorf("in one piece %q, want %q", got, tt.want)
			}
			if got := maskedIn(t, tt.secrets, strings.Split(tt.output, "")...); got != tt.want {
				t.Errorf("byte by byte %q, want %q", got, tt.want)
			}
			for i := range tt.output {
				if got := maskedIn(t, tt.secrets, tt.output[:i], tt.output[i:]); got != tt.want {
					t.Errorf("split at %d %q, want %q", i, got, tt.want)
				}
			}
			if got := newMask(tt.secrets).text(tt.output); got != tt.want {
				t.Errorf("as a text %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMasker_DoesTheSameHoweverOutputIsCut draws secrets and output from few letters, so that they
// overlap in every way.
func TestMasker_DoesTheSameHoweverOutputIsCut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab]{2,6}`), 1, 3).Draw(rt, "secrets")
		output := rapid.StringMatching(`[abc]{0,24}`).Draw(rt, "output")
		want := maskedIn(t, secrets, output)
		for i := range len(output) + 1 {
			for j := i; j <= len(output); j++ {
				if got := maskedIn(t, secrets, output[:i], output[i:j], output[j:]); got != want {
					rt.Fatalf("%q cut at %d and %d: %q, in one piece %q", output, i, j, got, want)
				}
			}
		}
		for _, secret := range secrets {
			if strings.Contains(want, secret) {
				rt.Fatalf("%q is in %q", secret, want)
			}
		}
	})
}

func TestMasker_KnowsASecretInOtherForms(t *testing.T) {
	const secret = `s3cret/"key"+?~ é`
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string]string{
		"in JSON":                   string(quoted),
		"in a query":                "https://example.com/?token=" + url.QueryEscape(secret) + "&x",
		"in a path":                 "https://example.com/" + url.PathEscape(secret) + "/x",
		"in hex":                    hex.EncodeToString([]byte(secret)),
		"in a dump":                 fmt.Sprintf("%X", secret),
		"in base64":                 base64.StdEncoding.EncodeToString([]byte(secret)),
		"in base64 for URLs":        base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"after one byte in base64":  base64.StdEncoding.EncodeToString([]byte(":" + secret)),
		"after two bytes in base64": base64.StdEncoding.EncodeToString([]byte("a:" + secret + ":b")),
		"after a name in base64":    base64.URLEncoding.EncodeToString([]byte("user:" + secret)),
	} {
		t.Run(name, func(t *testing.T) {
			got := newMask([]string{secret}).text(shown)
			// At most the characters that hold something else too are left of it.
			if !strings.Contains(got, redacted) || len(got) > len(shown)-len(secret)+len(redacted)+12 {
				t.Errorf("%s became %s", shown, got)
			}
		})
	}
	if got := newMask([]string{"abc"}).text("616263"); got != "616263" {
		t.Errorf("a short one is found by chance: %s", got)
	}
}

func TestMasker_PassesOnWhatCannotBeASecret(t *testing.T) {
	var out bytes.Buffer
	m := newMask([]string{"hunter2"}).writer(&out)
	if _, err := m.Write([]byte("progress 10%\n hun")); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "progress 10%\n " { // a job's output can be read while it runs
		t.Errorf("passed on %q", got)
	}
}

func TestMasker_TakesNoLongerForOutputFullOfSecrets(t *testing.T) {
	secrets := []string{"aaaa", "never-there-1", "never-there-2", "never-there-3", strings.Repeat("b", 100_000)}
	output := strings.Repeat("aaaa ", 1<<20)
	began := time.Now()
	var out bytes.Buffer
	m := newMask(secrets).writer(&out)
	for rest := []byte(output); len(rest) > 0; {
		n := min(len(rest), 32<<10)
		if _, err := m.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), redacted); got != 1<<20 {
		t.Errorf("%d secrets masked", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("5 MiB took %v", took)
	}
}

func TestMasker_HoldsBackNoMoreThanASecret(t *testing.T) {
	secret := strings.Repeat("ab", 2500) + "!"
	var out bytes.Buffer
	m := newMask([]string{secret}).writer(&out)
	began := time.Now()
	for range 200 { // always the beginning of the secret, never the secret
		if _, err := m.Write([]byte(strings.Repeat("ab", 5000))); err != nil {
			t.Fatal(err)
		}
		if len(m.held) > len(secret)+10_000 {
			t.Fatalf("holds %d bytes", len(m.held))
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("2 MB took %v", took)
	}
}

func TestOutput_KeepsHeadAndTailHoweverItIsWritten(t *testing.T) {
	for name, tt := range map[string]struct {
		limit  int
		writes []string
		want   string
	}{
		"nothing":                        {8, nil, ""},
		"less than the limit":            {8, []string{"abc"}, "abc"},
		"just the limit":                 {8, []string{"abcdefgh"}, "abcdefgh"},
		"just the limit, byte by byte":   {8, strings.Split("abcdefgh", ""), "abcdefgh"},
		"one more":                       {8, []string{"abcdefghi"}, "abcd\n[… 1 bytes left out …]\nfghi"},
		"one more, byte by byte":         {8, strings.Split("abcdefghi", ""), "abcd\n[… 1 bytes left out …]\nfghi"},
		"far more in one":                {8, []string{strings.Repeat("-", 1000) + "wxyz"}, "----\n[… 996 bytes left out …]\nwxyz"},
		"far more in pieces of three":    {8, []string{"abc", "def", "ghi", "jkl", "mno"}, "abcd\n[… 7 bytes left out …]\nlmno"},
		"a large piece after small ones": {8, []string{"abcde", "f", "0123456789", "x"}, "abcd\n[… 9 bytes left out …]\n789x"},
		"a NUL byte and half a letter":   {8, []string{"\x00\xc3"}, "\x00\xc3"},
		"a limit of nothing":             {0, []string{"abc"}, "a\n[… 1 bytes left out …]\nc"},
	} {
		t.Run(name, func(t *testing.T) {
			o := NewOutput(tt.limit)
			for _, w := range tt.writes {
				if n, err := o.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("wrote %d, %v", n, err)
				}
			}
			if got := string(o.Bytes()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOutput_CanBeReadWhileItIsWritten(t *testing.T) {
	o := NewOutput(64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10_000 {
			if _, err := o.Write([]byte("0123456789")); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
			if b := o.Bytes(); len(b) > 64+60 {
				t.Fatalf("%d bytes", len(b))
			}
		}
	}
}
