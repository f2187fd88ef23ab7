package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// The published vectors of Standard Webhooks are run by the preset's tests. The key pair is
// svix/svix-webhooks'.
const (
	sharedKey  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	publicKey  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	privateKey = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)

func TestStandard_SignThenVerify(t *testing.T) {
	v := NewStandard()
	for signing, checking := range map[string]string{sharedKey: sharedKey, privateKey: publicKey, strings.TrimPrefix(sharedKey, "whsec_"): sharedKey} {
		r := signed(t, v, post("hello"), signing)
		_, err := v.Verify(r, secrets(checking), now)
		wantError(t, err, "")
	}
	wantError(t, v.Sign(post("hello"), []byte(publicKey), now), "a public key can check signatures, but not make them")
	if err := v.Sign(post("hello"), nil, now); err == nil {
		t.Error("signed with an empty secret")
	}
}

func TestStandard_KeepsTheIDThatIsThere(t *testing.T) {
	v := NewStandard()
	for _, name := range []string{"webhook-id", "svix-id"} {
		r := signed(t, v, post("hello", name+": msg_1"), sharedKey)
		if got := v.ID(r); got != "msg_1" {
			t.Errorf("%s became %q", name, got)
		}
		_, err := v.Verify(r, secrets(sharedKey), now)
		wantError(t, err, "")
	}
}

func TestStandard_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(r *request.Request)
		want   string
	}{
		{"nothing changed", func(*request.Request) {}, ""},
		{"another id", func(r *request.Request) { r.Header.Set("webhook-id", "msg_2") }, "signature does not match"},
		{"another time", func(r *request.Request) { r.Header.Set("webhook-timestamp", "1700000001") }, "signature does not match"},
		{"another body", func(r *request.Request) { r.Body = []byte("hallo") }, "signature does not match"},
		{"no id", func(r *request.Request) { r.Header.Del("webhook-id") }, "header webhook-id is missing"},
		{"empty id", func(r *request.Request) { r.Header.Set("webhook-id", "") }, "header webhook-id is empty"},
		{"no time", func(r *request.Request) { r.Header.Del("webhook-timestamp") }, "header webhook-timestamp is missing"},
		{"milliseconds", func(r *request.Request) { r.Header.Set("webhook-timestamp", "1700000000000") }, "timestamp is absurd as a number of seconds"},
		{"no signature", func(r *request.Request) { r.Header.Del("webhook-signature") }, "header webhook-signature is missing"},
		{"signature twice", func(r *request.Request) { r.Header.Add("webhook-signature", r.Header.Get("webhook-signature")) }, "header webhook-signature was sent more than once"},
		{"unreadable", func(r *request.Request) { r.Header.Set("webhook-signature", "v1,AAAA") }, "header webhook-signature has no readable signature: expected v1, and base64"},
		{"17 listed", func(r *request.Request) { r.Header.Set("webhook-signature", strings.Repeat("v9,x ", 17)) }, "header webhook-signature lists more than 16 signatures"},
		{"the right one listed last", func(r *request.Request) {
			r.Header.Set("webhook-signature", strings.Repeat("v9,x ", 15)+r.Header.Get("webhook-signature"))
		}, ""},
		{"signed under the other names", func(r *request.Request) {
			r.Header.Set("svix-id", "msg_2") // says nothing while there is a webhook-id
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := signed(t, NewStandard(), post("hello", "webhook-id: msg_1"), sharedKey)
			tt.change(r)
			_, err := NewStandard().Verify(r, secrets(sharedKey), now)
			wantError(t, err, tt.want)
		})
	}
	_, err := NewStandard().Verify(post("hello"), secrets(""), now)
	wantError(t, err, "no secret is configured")
}

// The id is the delivery key, so a message must have one id only: the one that was signed.
func TestStandard_ReplayUnderAnotherIDIsRefused(t *testing.T) {
	r := signed(t, NewStandard(), post("hello", "svix-id: msg_1"), sharedKey)
	r.Header.Set("webhook-id", "msg_2")
	if _, err := NewStandard().Verify(r, secrets(sharedKey), now); err == nil {
		t.Errorf("verifies as %q", NewStandard().ID(r))
	}
	only := NewStandard().WebhookHeadersOnly()
	r = signed(t, NewStandard(), post("hello", "svix-id: msg_1"), sharedKey)
	_, err := only.Verify(r, secrets(sharedKey), now)
	wantError(t, err, "header webhook-id is missing")
}

func TestStandard_Tolerance(t *testing.T) {
	r := signed(t, NewStandard(), post("hello"), sharedKey)
	v := &Standard{Tolerance: 20 * time.Second}
	for _, sign := range []time.Duration{-1, 1} {
		_, err := v.Verify(r, secrets(sharedKey), now.Add(sign*20*time.Second))
		wantError(t, err, "")
		_, err = v.Verify(r, secrets(sharedKey), now.Add(sign*21*time.Second))
		wantError(t, err, "timestamp is 21s off, tolerance is 20s")
	}
	wantProblems(t, (&Standard{}).Check(), []string{"tolerance: tolerance is at least 1s: clocks differ"})
}

func TestStandard_CheckSecret(t *testing.T) {
	for secret, want := range map[string]string{
		sharedKey:        "",
		"c2VjcmV0Cg":     "",
		publicKey:        "",
		privateKey:       "whsk_ is the sender's private key: configure the public one, whpk_",
		"whsec_":         "the secret is empty",
		"whpk_c2VjcmV0":  "a whpk_ key has 32 bytes, this one 6",
		"whsk_c2VjcmV0":  "a whsk_ key has 64 bytes, this one 6",
		"not base64 at":  "the secret is not base64: a Standard Webhooks secret is whsec_ and base64, a public key whpk_ and base64",
		"whsec_c2Vj\ncm": "the secret is not base64: a Standard Webhooks secret is whsec_ and base64, a public key whpk_ and base64",
	} {
		wantError(t, NewStandard().CheckSecret([]byte(secret)), want)
	}
}

func FuzzStandard_Headers(f *testing.F) {
	f.Add("msg_1", "1700000000", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	f.Add("", "x", "v1a, ,v1 v2,")
	f.Fuzz(func(t *testing.T, id, stamp, signature string) {
		r := post("hello", "webhook-id: "+id, "webhook-timestamp: "+stamp, "webhook-signature: "+signature)
		if _, err := NewStandard().Verify(r, secrets(sharedKey, publicKey), now); err == nil {
			t.Errorf("%q %q %q verifies", id, stamp, signature)
		}
	})
}
