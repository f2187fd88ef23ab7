package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tenterhook/tenterhook/internal/request"
)

// What is particular to one sender.

func post(body string, headers ...string) *request.Request {
	r := &request.Request{Method: "POST", Path: "/", Header: http.Header{}, Body: []byte(body)}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func secrets(list ...string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

func mac(key, message string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(message))
	return h.Sum(nil)
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want %q", want)
	case want != "" && err.Error() != want:
		t.Errorf("error is %q, want %q", err, want)
	}
}

func TestGitHub_LegacyHeader(t *testing.T) {
	const secret, body, sha1 = "0123456789abcdef", `{"yo":true}`, "X-Hub-Signature: sha1=126f2c800419c60137ce748d7672e77b65cf16d6"
	v := lookup(t, "github").Verifier().(*githubVerifier)
	_, err := v.Verify(post(body, sha1), secrets(secret), now)
	wantError(t, err, "header X-Hub-Signature-256 is missing; the outdated X-Hub-Signature is there, and taken only with verify: {legacy: true}")
	v.Legacy = true
	_, err = v.Verify(post(body, sha1), secrets(secret), now)
	wantError(t, err, "")
	_, err = v.Verify(post(body, sha1, "X-Hub-Signature-256: sha256="+strings.Repeat("0", 64)), secrets(secret), now)
	wantError(t, err, "signature does not match")
	_, err = v.Verify(post(body, "X-Hub-Signature: md5=00"), secrets(secret), now)
	wantError(t, err, "header X-Hub-Signature does not begin with sha1=, sha256= or sha512=")
	_, err = v.Verify(post(body), secrets(secret), now)
	wantError(t, err, "header X-Hub-Signature-256 is missing")
}

// GitLab publishes no vector. Merge request 230944 of GitLab documents the construction:
// webhook-signature is v1, and the base64 of the HMAC-SHA256 of "{webhook-id}.{webhook-timestamp}.{body}",
// its key the decoded signing token; webhook-id equals Idempotency-Key.
func TestGitLab_SignatureAsGitLabDocumentsIt(t *testing.T) {
	const key, id, stamp, body = "0123456789abcdef0123456789abcdef", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", "1700000000", `{"object_kind":"push"}`
	signing := "whsec_" + base64.StdEncoding.EncodeToString([]byte(key))
	signature := "webhook-signature: v1," + base64.StdEncoding.EncodeToString(mac(key, id+"."+stamp+"."+body))
	wrong := "webhook-signature: v1," + base64.StdEncoding.EncodeToString(mac("other", body))
	const token = "X-Gitlab-Token: sampleToken!"
	from := func(headers ...string) *request.Request {
		return post(body, append(headers, "webhook-id: "+id, "webhook-timestamp: "+stamp, "Idempotency-Key: "+id)...)
	}
	for _, tt := range []struct {
		name    string
		r       *request.Request
		secrets []string
		secret  int
		want    string
	}{
		{"signed", from(signature), []string{signing}, 0, ""},
		{"signed, with the token beside it", from(signature, token), []string{"sampleToken!", signing}, 1, ""},
		{"wrongly signed", from(wrong), []string{signing}, -1, "signature does not match"},
		{"wrongly signed, with the right token", from(wrong, token), []string{"sampleToken!", signing}, -1, "signature does not match"},
		{"signed, and only the token is known", from(signature, token), []string{"sampleToken!"}, -1, "the request is signed, and none of the secrets is a signing token (whsec_…)"},
		{"token", post(body, token), []string{signing, "sampleToken!"}, 1, ""},
		{"wrong token", post(body, token), []string{"sampleToken"}, -1, "token does not match"},
		{"token, and only signatures are wanted", post(body, token), []string{signing}, -1, "header webhook-signature is missing, and none of the secrets is a plain token"},
		{"the signing token sent as a token", post(body, "X-Gitlab-Token: "+signing), []string{signing, "x"}, -1, "token does not match"},
		{"nothing", post(body), []string{"sampleToken!"}, -1, "header X-Gitlab-Token is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secret, err := newGitLab().Verify(tt.r, secrets(tt.secrets...), now)
			wantError(t, err, tt.want)
			if secret != tt.secret {
				t.Errorf("secret %d matched, want %d", secret, tt.secret)
			}
		})
	}
	moved := post(body, "svix-id: "+id, "svix-timestamp: "+stamp, "svix-"+strings.TrimPrefix(signature, "webhook-"), signature)
	if _, err := newGitLab().Verify(moved, secrets(signing), now); err == nil {
		t.Error("a delivery moved to other headers, where it would have another key, is accepted")
	}
}

func TestGitLab_KeyAndEvent(t *testing.T) {
	p := lookup(t, "gitlab")
	for _, tt := range []struct {
		r          *request.Request
		key, event string
	}{
		{post(`{"object_kind":"tag_push"}`, "X-Gitlab-Event: Tag Push Hook", "X-Gitlab-Event-UUID: u"), "u", "tag_push"},
		{post(`{"object_kind":"push"}`, "X-Gitlab-Event-UUID: u", "Idempotency-Key: i"), "i", "push"},
		{post(`{"event_name":"project_create"}`, "X-Gitlab-Event: System Hook", "webhook-id: w", "Idempotency-Key: i"), "w", "project_create"},
		{post(`{}`, "X-Gitlab-Event: Push Hook"), "", "Push Hook"},
	} {
		key, err := p.Key(tt.r)
		event, err2 := p.Event(tt.r)
		if key != tt.key || event != tt.event || err != nil || err2 != nil {
			t.Errorf("%s: key %q, event %q, %v, %v; want %q, %q", tt.r.Body, key, event, err, err2, tt.key, tt.event)
		}
	}
	if _, err := p.Event(post(`{"object_kind":`, "Content-Type: application/json")); err == nil {
		t.Error("a body that ends early has an event")
	}
	r := post(`{"object_kind":"push"}`)
	p.Address(r, "i", "merge_request")
	if got := r.Header.Get("X-Gitlab-Event"); got != "Merge Request Hook" {
		t.Errorf("X-Gitlab-Event is %q", got)
	}
}

// go-gitea/gitea services/webhook/deliver.go signs the payload before it puts it into a form.
func TestGitea_FormIsSignedByItsJSON(t *testing.T) {
	const body = `{"ref":"refs/heads/main"; "x": "&é"}`
	const form = "Content-Type: application/x-www-form-urlencoded"
	signature := "X-Gitea-Signature: " + hex.EncodeToString(mac("key", body))
	encoded := url.Values{"payload": {body}}.Encode()
	for _, tt := range []struct {
		name, body, want string
	}{
		{"as Gitea sends it", encoded, ""},
		{"another payload", encoded + "x", "signature does not match"},
		{"another field", encoded + "&ref=x", "body is not a form with payload as its one field"},
		{"payload twice", encoded + "&" + encoded, "body is not a form with payload as its one field"},
		{"another form", "ref=x", "body is not a form with payload as its one field"},
		{"unreadable", "payload=%zz", "body is not a readable form"},
		{"JSON under the form's type", body, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newGitea().Verify(post(tt.body, signature, form), secrets("key"), now)
			wantError(t, err, tt.want)
		})
	}
	r := post(encoded, form)
	if err := newGitea().Sign(r, []byte("key"), now); err != nil {
		t.Fatal(err)
	}
	_, err := newGitea().Verify(r, secrets("key"), now)
	wantError(t, err, "")
}

func TestForgejo_ItsOwnHeaders(t *testing.T) {
	p := lookup(t, "forgejo")
	r := post(`{}`, "X-Forgejo-Signature: "+hex.EncodeToString(mac("key", "{}")), "X-Forgejo-Delivery: d", "X-Forgejo-Event: push")
	_, err := p.Verifier().Verify(r, secrets("key"), now)
	wantError(t, err, "")
	key, _ := p.Key(r)
	event, _ := p.Event(r)
	if key != "d" || event != "push" {
		t.Errorf("key %q, event %q", key, event)
	}
}

func TestSlack_Handshake(t *testing.T) {
	p := lookup(t, "slack")
	got := p.Handshake(post(`{"type":"url_verification","challenge":"<b>c</b>"}`), nil)
	want := &Answer{Status: 200, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}}, Body: []byte("<b>c</b>")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{
		`{"type":"event_callback","challenge":"c"}`, `{"type":"url_verification"}`, `{"type":"url_verification","challenge":{}}`,
		`{"event":{"type":"url_verification","challenge":"c"}}`, `{"type":"url_verification","challenge":"` + strings.Repeat("c", 1025) + `"}`, `{`, ``,
	} {
		if p.Handshake(post(body), nil) != nil {
			t.Errorf("%.60s is answered", body)
		}
	}
}

func TestSlack_KeyAndEvent(t *testing.T) {
	p := lookup(t, "slack")
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name       string
		r          *request.Request
		key, event string
	}{
		{"event", post(`{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}`), "Ev1", "app_mention"},
		{"command", post("command=%2Fdeploy&trigger_id=13.37.x&text=", form), "13.37.x", "/deploy"},
		{"interaction", post("payload="+url.QueryEscape(`{"type":"block_actions","trigger_id":"1.2"}`), form), "1.2", "block_actions"},
		{"neither", post(`{"type":"app_rate_limited"}`), "", "app_rate_limited"},
	} {
		key, err := p.Key(tt.r)
		event, err2 := p.Event(tt.r)
		if key != tt.key || event != tt.event || err != nil || err2 != nil {
			t.Errorf("%s: key %q, event %q, %v, %v; want %q, %q", tt.name, key, event, err, err2, tt.key, tt.event)
		}
	}
}

func TestShopify_BothFamiliesOfHeaders(t *testing.T) {
	p := lookup(t, "shopify")
	signature := base64.StdEncoding.EncodeToString(mac("key", "{}"))
	for _, prefix := range []string{"X-Shopify-", "shopify-"} {
		r := post("{}", prefix+"hmac-sha256: "+signature, prefix+"event-id: e", prefix+"topic: orders/paid")
		_, err := p.Verifier().Verify(r, secrets("key"), now)
		wantError(t, err, "")
		key, _ := p.Key(r)
		event, _ := p.Event(r)
		if key != "e" || event != "orders/paid" {
			t.Errorf("%s: key %q, event %q", prefix, key, event)
		}
		r.Header.Set(prefix+"webhook-id", "w")
		if key, _ := p.Key(r); key != "w" {
			t.Errorf("%s: key %q, want the delivery's id", prefix, key)
		}
	}
}

func TestStandard_KeyIsTheIDThatWasSigned(t *testing.T) {
	p := lookup(t, "svix")
	r := post("{}", "svix-id: msg_1")
	if err := p.Verifier().Sign(r, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), now); err != nil {
		t.Fatal(err)
	}
	conceal(p, r)
	if key, _ := p.Key(r); key != "msg_1" {
		t.Errorf("key is %q", key)
	}
}
