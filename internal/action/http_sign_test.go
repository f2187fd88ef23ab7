package action

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

const (
	signingKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	olderKey   = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// received is a request as the receiver's verifier sees it.
func (s *sink) received() *request.Request {
	return &request.Request{Method: s.method, Header: s.header, Body: []byte(s.body)}
}

func TestSign_TheReceiversOwnVerifierIsContent(t *testing.T) {
	s := newSink(t, nil)
	r, out := sent(t, `http: {url: "`+s.URL+`", allow_private: true, sign: {scheme: standard, secret: `+signingKey+`}}`, signingKey)
	succeeded(t, r, out)
	if _, err := verify.NewStandard().Verify(s.received(), [][]byte{[]byte(signingKey)}, time.Now()); err != nil {
		t.Errorf("refused: %v\n%v", err, s.header)
	}
	if _, err := verify.NewStandard().Verify(s.received(), [][]byte{[]byte(olderKey)}, time.Now()); err == nil {
		t.Error("another key is content too")
	}
	if id := s.header.Get("Webhook-Id"); !strings.HasPrefix(id, "job-") || id != s.header.Get("Idempotency-Key") {
		t.Errorf("id %q, idempotency key %q", id, s.header.Get("Idempotency-Key"))
	}
}

func TestSign_SignsWithEveryKeyWhileTheyAreRotated(t *testing.T) {
	s := newSink(t, nil)
	r, out := sent(t, `http: {url: "`+s.URL+`", allow_private: true, json: {a: 1}, sign: {scheme: standard-webhooks, secret: [`+signingKey+`, `+olderKey+`]}}`)
	succeeded(t, r, out)
	for _, key := range []string{signingKey, olderKey} {
		if _, err := verify.NewStandard().Verify(s.received(), [][]byte{[]byte(key)}, time.Now()); err != nil {
			t.Errorf("%s is refused: %v", key, err)
		}
	}
	if n := len(strings.Fields(s.header.Get("Webhook-Signature"))); n != 2 {
		t.Errorf("%d signatures", n)
	}
}

func TestSign_EveryAttemptIsSignedAnewAndIsTheSameMessage(t *testing.T) {
	s := newSink(t, nil)
	a := compiled(t, `http: {url: "`+s.URL+`", allow_private: true, sign: {scheme: standard, secret: `+signingKey+`}}`)
	f := facts(t)
	var ids []string
	for f.Attempt = 1; f.Attempt < 3; f.Attempt++ {
		if r := prepared(t, a, f).Run(t.Context(), NewOutput(1024)); r.Err != nil {
			t.Fatal(r.Err)
		}
		ids = append(ids, s.header.Get("Webhook-Id"), s.header.Get("Idempotency-Key"))
		if _, err := verify.NewStandard().Verify(s.received(), [][]byte{[]byte(signingKey)}, time.Now()); err != nil {
			t.Errorf("attempt %d: %v", f.Attempt, err)
		}
	}
	for _, id := range ids {
		if id != f.Job {
			t.Errorf("the attempts' ids are %q", ids)
		}
	}
}

// TestSign_MakesThePublishedSignatures holds the signature to those of other implementations.
func TestSign_MakesThePublishedSignatures(t *testing.T) {
	text, err := os.ReadFile("../provider/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name, Scheme, Secret, Body string
			Headers                    map[string]string
			Now                        int64
			Valid                      bool
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, v := range file.Vectors {
		if v.Scheme != "standard-webhooks" || !v.Valid || !strings.HasPrefix(v.Secret, "whsec_") {
			continue
		}
		at, err := strconv.ParseInt(v.Headers["webhook-timestamp"], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		if err := (&signer{keys: [][]byte{[]byte(v.Secret)}}).set(header, v.Headers["webhook-id"], []byte(v.Body), time.Unix(at, 0)); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if got := header.Get("Webhook-Signature"); !strings.Contains(v.Headers["webhook-signature"], got) || len(got) < 40 {
			t.Errorf("%s: %s, want one of %s", v.Name, got, v.Headers["webhook-signature"])
		}
		made++
	}
	if made < 4 {
		t.Errorf("%d vectors", made)
	}
}

func TestSign_TheKeyIsNeverShown(t *testing.T) {
	rest := strings.TrimPrefix(signingKey, "whsec_")
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("your key is " + signingKey + ", or " + rest))
	})
	a := compiled(t, `http: {url: "`+s.URL+`", allow_private: true, body: "`+signingKey+`", headers: {X-Key: "`+rest+`"}, sign: {scheme: standard, secret: `+signingKey+`}}`, signingKey)
	p, out := prepared(t, a, facts(t)), NewOutput(1<<20)
	r := p.Run(t.Context(), out)
	succeeded(t, r, string(out.Bytes()))
	shown, err := json.Marshal(p.Describe())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(shown), `"sign":"standard"`) {
		t.Errorf("it is not said that it is signed: %s", shown)
	}
	if all := string(out.Bytes()) + string(shown); strings.Contains(all, rest) || !strings.Contains(all, redacted) {
		t.Errorf("shown:\n%s", all)
	}
}

func TestSign_IsNotTakenToAnotherHost(t *testing.T) {
	other := newSink(t, nil)
	s := newSink(t, redirectTo(other.URL, http.StatusTemporaryRedirect))
	r, out := sent(t, `http: {url: "`+s.URL+`", allow_private: true, follow_redirects: 1, sign: {scheme: standard, secret: `+signingKey+`}}`)
	succeeded(t, r, out)
	for _, name := range signatureHeaders {
		if s.header.Get(name) == "" || other.header.Get(name) != "" {
			t.Errorf("%s is %q there and %q at the other host", name, s.header.Get(name), other.header.Get(name))
		}
	}
}

func TestRedirect_BackFromAnotherHostTakesNoCredentialAlong(t *testing.T) {
	var home string
	other := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		redirectTo(home+"/chosen", http.StatusTemporaryRedirect)(w, r)
	})
	s := newSink(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			redirectTo(other.URL, http.StatusTemporaryRedirect)(w, r)
		}
	})
	home = s.URL
	r, out := sent(t, `http: {url: "`+s.URL+`/", allow_private: true, follow_redirects: 3, headers: {Authorization: Bearer hunter2, X-Key: hunter2, Idempotency-Key: hunter2}, sign: {scheme: standard, secret: `+signingKey+`}}`)
	succeeded(t, r, out)
	if s.header.Get("Idempotency-Key") == "hunter2" || s.path != "/chosen" || s.header.Get("Authorization") != "" || s.header.Get("X-Key") != "" || s.header.Get("Webhook-Signature") != "" {
		t.Errorf("%s was asked with %v", s.path, s.header)
	}
}

func TestHTTP_TheIdempotencyKeyIsTheRulesWhenItHasOne(t *testing.T) {
	s := newSink(t, nil)
	for rule, want := range map[string]string{
		`headers: {Idempotency-Key: "n-${{ payload.n }}"}`:  "n-9007199254740993",
		`headers: {idempotency-key: "${{ payload.gone }}"}`: "job-",
		`method: POST`: "job-",
	} {
		r, out := sent(t, `http: {url: "`+s.URL+`", allow_private: true, `+rule+`}`)
		succeeded(t, r, out)
		if got := s.header.Values("Idempotency-Key"); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: sent %q", rule, got)
		}
	}
}

func TestDescribe_HidesHeadersThatCarryACredential(t *testing.T) {
	a := compiled(t, `http: {url: "http://127.0.0.1:9/", headers: {Authorization: "Bearer hunter2", Private-Token: hunter2, X-Trace: seen}}`)
	p := prepared(t, a, facts(t))
	shown, err := json.Marshal(p.Describe())
	if err != nil {
		t.Fatal(err)
	}
	if s := string(shown); strings.Contains(s, "hunter2") || !strings.Contains(s, `"X-Trace":"seen"`) {
		t.Errorf("shown: %s", s)
	}
}
