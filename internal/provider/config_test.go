package provider

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// over decodes a verify: mapping over a preset's settings, as the compiler of hooks does, and
// returns what is wrong with it.
func over(t *testing.T, v verify.Verifier, yaml string) string {
	t.Helper()
	file, d := config.Parse("hooks.yaml", []byte("verify: "+yaml+"\n"), config.Options{})
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	file.Root.Find("verify").Decode(v, d)
	var out bytes.Buffer
	for _, one := range d.All() {
		out.WriteString(one.Message + "\n")
	}
	if c, ok := v.(verify.Checker); ok {
		for _, p := range c.Check() {
			out.WriteString(strings.Join(p.Path, ".") + ": " + p.Message + "\n")
		}
	}
	return out.String()
}

func TestPresets_AreAdjustedByAVerifyMapping(t *testing.T) {
	stripe := lookup(t, "stripe").Verifier().(*verify.HMAC)
	if wrong := over(t, stripe, "{tolerance: 20s}"); wrong != "" {
		t.Error(wrong)
	}
	if stripe.Tolerance == nil || *stripe.Tolerance != 20*time.Second || stripe.SignatureKey != "v1" || stripe.Header[0] != "Stripe-Signature" {
		t.Errorf("settings are %+v", stripe)
	}
	github := lookup(t, "github").Verifier().(*githubVerifier)
	if wrong := over(t, github, "{legacy: true}"); wrong != "" || !github.Legacy {
		t.Errorf("legacy is %t: %s", github.Legacy, wrong)
	}
	gitea := lookup(t, "gitea").Verifier().(*giteaVerifier)
	if wrong := over(t, gitea, "{header: X-Other}"); wrong != "" || len(gitea.Header) != 1 || gitea.Header[0] != "X-Other" {
		t.Errorf("header is %q: %s", gitea.Header, wrong)
	}
	gitlab := lookup(t, "gitlab").Verifier().(*gitlabVerifier)
	if wrong := over(t, gitlab, "{tolerance: 20s}"); wrong != "" || gitlab.Tolerance != 20*time.Second {
		t.Errorf("tolerance is %s: %s", gitlab.Tolerance, wrong)
	}
	slack := lookup(t, "slack").Verifier().(*verify.HMAC)
	if wrong := over(t, slack, "{timestamp: {tolerance: 1m}}"); wrong != "" || slack.Timestamp.Tolerance != time.Minute || slack.Timestamp.Header == "" {
		t.Errorf("timestamp is %+v: %s", slack.Timestamp, wrong)
	}
}

func TestPresets_RefuseWhatTheyCannotUse(t *testing.T) {
	for preset, yaml := range map[string]string{
		"github":            "{tolerance: 20s}",
		"shopify":           "{tolerance: 20s}",
		"stripe":            "{tolerance: 0s}",
		"standard-webhooks": "{legacy: true}",
		"slack":             "{timestamp: {unit: min}}",
	} {
		if over(t, lookup(t, preset).Verifier(), yaml) == "" {
			t.Errorf("%s takes %s", preset, yaml)
		}
	}
}

func TestSchemes_AreDecodedFromYAML(t *testing.T) {
	kind, _ := verify.Lookup("hmac")
	h := kind.New().(*verify.HMAC)
	const yaml = `{hash: sha256, header: X-Signature, encoding: hex, prefix: "sha256=", signed: "{timestamp}.{body}", timestamp: {header: X-Timestamp, tolerance: 5m}}`
	if wrong := over(t, h, yaml); wrong != "" {
		t.Fatal(wrong)
	}
	r := post("hello")
	if err := h.Sign(r, []byte("key"), now); err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("X-Signature"); !strings.HasPrefix(got, "sha256=") || r.Header.Get("X-Timestamp") != "1700000000" {
		t.Errorf("signed as %v", r.Header)
	}
	if _, err := h.Verify(r, secrets("key"), now); err != nil {
		t.Error(err)
	}
	for name, yaml := range map[string]string{
		"token":  "{field: a.b}",
		"bearer": "{}",
		"basic":  "{username: hooks}",
	} {
		kind, _ := verify.Lookup(name)
		if wrong := over(t, kind.New(), yaml); wrong != "" {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}
