package provider

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
	"pgregory.net/rapid"
)

var now = time.Unix(1_700_000_000, 0)

type vector struct {
	Provider, Scheme, Name, Method, URL, Body, Why string
	Secret                                         any // a text, a list of them, or nothing
	Headers, Params                                map[string]string
	Now, Tolerance                                 int64
	Valid                                          bool
}

// secrets are what a person would configure.
func (v *vector) secrets() (out [][]byte) {
	switch s := v.Secret.(type) {
	case string:
		out = append(out, []byte(s))
	case []any:
		for _, one := range s {
			out = append(out, []byte(one.(string)))
		}
	}
	for _, name := range []string{"secondary_secret", "certificate_pem"} {
		if s := v.Params[name]; s != "" {
			out = append(out, []byte(s))
		}
	}
	return out
}

// at is when to verify: schemes without a timestamp do not ask.
func (v *vector) at() time.Time {
	if v.Now == 0 {
		return now
	}
	return time.Unix(v.Now, 0)
}

func (v *vector) request(t *testing.T) *request.Request {
	t.Helper()
	r := &request.Request{Method: v.Method, Path: "/", Header: http.Header{}, Body: []byte(v.Body)}
	if v.URL != "" {
		u, err := url.Parse(v.URL)
		if err != nil {
			t.Fatal(err)
		}
		r.Scheme, r.Host, r.Path, r.RawPath, r.RawQuery = u.Scheme, u.Host, u.Path, u.EscapedPath(), u.RawQuery
	}
	for name, value := range v.Headers {
		r.Header.Set(name, value)
	}
	return r
}

// verifier is the preset's, or for vectors of no sender what a verify: mapping makes.
func (v *vector) verifier(t *testing.T) verify.Verifier {
	t.Helper()
	if v.Provider == "generic-hmac" {
		h := verify.NewHMAC()
		parts := strings.Split(v.Scheme, "-")
		h.Header, h.Hash, h.Encoding = []string{v.Params["header"]}, parts[1], parts[2]
		return h
	}
	of := lookup(t, v.Provider).Verifier()
	switch of := of.(type) {
	case *githubVerifier:
		of.Legacy = v.Scheme == "github-legacy"
	case *verify.HMAC:
		if v.Tolerance != 0 {
			of.Tolerance = new(time.Duration(v.Tolerance) * time.Second)
		}
	}
	return of
}

func lookup(t testing.TB, name string) *Preset {
	t.Helper()
	p, ok := Lookup(name)
	if !ok {
		t.Fatalf("there is no preset %q", name)
	}
	return p
}

func vectors(t *testing.T) []vector {
	t.Helper()
	var all []vector
	for _, name := range []string{"vectors.json", "computed.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Vectors []vector }
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		all = append(all, file.Vectors...)
	}
	return all
}

func TestPresets_PublishedVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Provider+"/"+v.Name, func(t *testing.T) {
			secret, err := v.verifier(t).Verify(v.request(t), v.secrets(), v.at())
			if (err == nil) != v.Valid || v.Valid && secret < 0 {
				t.Errorf("valid is %t by secret %d, want %t (%s): %v", err == nil, secret, v.Valid, v.Why, err)
			}
		})
	}
}

// named says where a preset is tested whose signature takes a key that is fetched.
var named = map[string]string{"google-pubsub": "TestPubSub_TakesGooglesTokensForItsAudience", "paypal": "TestPayPal_TakesWhatPayPalsCertificateSigned"}

// inBody are presets whose signature or secret is in the body: there is no header to withhold.
var inBody = []string{"aws-sns", "dropbox-sign", "mailgun", "microsoft-graph"}

func TestPresets_AreComplete(t *testing.T) {
	valid, invalid := map[string]bool{}, map[string]bool{}
	for _, v := range vectors(t) {
		if v.Provider == "generic-hmac" {
			continue
		}
		if p := lookup(t, v.Provider); v.Valid {
			valid[p.Name] = true
		} else {
			invalid[p.Name] = true
		}
	}
	for _, p := range All() {
		t.Run(p.Name, func(t *testing.T) {
			for what, text := range map[string]string{"Title": p.Title, "Doc": p.Doc, "Setup": p.Setup, "Source": p.Source} {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s is missing", what)
				}
			}
			if p.Verifier == nil || len(p.Samples) == 0 {
				t.Error("Verifier or Samples are missing")
			}
			if p.OnDuplicate != job.Skip && p.OnDuplicate != job.RerunFailed {
				t.Errorf("OnDuplicate is %q", p.OnDuplicate)
			}
			if (!valid[p.Name] || !invalid[p.Name]) && named[p.Name] == "" {
				t.Error("has neither valid and invalid vectors (testdata/vectors.json, or computed.json by compute.py), nor a test of its own (named)")
			}
			v := p.Verifier()
			if taker, ok := v.(verify.SecretTaker); !v.NeedsSecret() && (!ok || !taker.TakesSecret()) && p.Name != "google-pubsub" {
				t.Error("is not verified by a secret")
			}
			if len(v.Withhold()) == 0 != slices.Contains(inBody, p.Name) {
				t.Errorf("withholds %q", v.Withhold())
			}
			if c, ok := p.Verifier().(verify.Checker); ok && c.Check() != nil && !p.NeedsVerify {
				t.Errorf("its own settings are wrong: %v", c.Check())
			}
			for _, name := range append([]string{p.Name}, p.Aliases...) {
				if found, _ := Lookup(name); found != p {
					t.Errorf("%q finds another preset", name)
				}
				if !slices.Contains(Names(), name) {
					t.Errorf("Names does not list %q", name)
				}
			}
		})
	}
	if len(All()) < 80 {
		t.Errorf("only %d presets: %v", len(All()), Names())
	}
}

// sent is a sample as send posts it: addressed, then signed.
func sent(t testing.TB, p *Preset, s Sample, id, event, secret string) *request.Request {
	t.Helper()
	r := &request.Request{Method: "POST", Path: "/hook", Host: "hooks.example.com", Header: http.Header{"Content-Type": {s.ContentType}}, Body: slices.Clone(s.Body)}
	readdress(p, r, id, event)
	if err := p.Verifier().Sign(r, []byte(secret), now); err != nil {
		t.Fatalf("Sign: %v", err)
	}
	return r
}

func eventOf(p *Preset, r *request.Request) (event string, err error) {
	if p.Event == nil {
		return "", nil
	}
	return p.Event(r)
}

func keyOf(p *Preset, r *request.Request) (key string, err error) {
	if p.Key == nil {
		return "", nil
	}
	return p.Key(r)
}

func readdress(p *Preset, r *request.Request, id, event string) {
	if p.Address != nil {
		p.Address(r, id, event)
	}
}

func secretsOf(p *Preset) []string {
	switch p.Name {
	case "standard-webhooks":
		return []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	case "openai", "anthropic", "bigcommerce":
		return []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	case "adyen":
		return []string{"DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00"}
	case "airtable":
		return []string{"YS1zZWNyZXQtb2YtZW5vdWdoLWJ5dGVz"}
	case "aws-sns", "discord", "google-pubsub", "paypal", "sendgrid", "telnyx":
		return nil // by a private key that is the sender's
	case "gitlab":
		return []string{"a token", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	}
	return []string{"whsec_utf8"}
}

// conceal takes out what the daemon takes out before it asks for key and event.
func conceal(p *Preset, r *request.Request) {
	for _, name := range p.Verifier().Withhold() {
		r.Header.Del(name)
	}
}

func TestSamples_VerifyAndAreAddressed(t *testing.T) {
	for _, p := range All() {
		for _, s := range p.Samples {
			for _, secret := range secretsOf(p) {
				t.Run(p.Name+"/"+s.Name+"/"+secret, func(t *testing.T) {
					r := sent(t, p, s, "id-of-this-one", s.Event, secret)
					if _, err := p.Verifier().Verify(r, [][]byte{[]byte(secret)}, now); err != nil {
						t.Fatalf("a signed sample is refused: %v", err)
					}
					conceal(p, r)
					if s.Event == "url_verification" {
						return // a check of the address has no key
					}
					if p.Key != nil {
						key, err := p.Key(r)
						if err != nil || key != "id-of-this-one" && (p.Address != nil || key == "") {
							t.Errorf("of a sample that Address gave an id, Key is %q, %v", key, err)
						}
					}
					if p.Event == nil {
						return
					}
					event, err := p.Event(r)
					if err != nil || event != s.Event {
						t.Errorf("event is %q, %v; want %q", event, err, s.Event)
					}
				})
			}
		}
	}
}

func TestSamples_AreWhatTheirEventSays(t *testing.T) {
	for _, p := range All() {
		for _, s := range p.Samples {
			if len(secretsOf(p)) == 0 || slices.Contains(inBody, p.Name) || p.Name == "linear" {
				continue // not signed here, or signed in the body
			}
			r := sent(t, p, s, "", "", secretsOf(p)[0])
			if string(r.Body) != string(s.Body) {
				t.Errorf("%s/%s: the body changed though nothing was asked for", p.Name, s.Name)
			}
			if event, _ := eventOf(p, r); event != s.Event && event != "" {
				t.Errorf("%s/%s: the body says %q, the sample %q", p.Name, s.Name, event, s.Event)
			}
			if len(s.Body) > 16<<10 {
				t.Errorf("%s/%s has %d bytes", p.Name, s.Name, len(s.Body))
			}
		}
	}
}

func TestPresets_SendAnotherEvent(t *testing.T) {
	elsewhere := []string{"coinbase-cdp", "dropbox-sign", "mandrill", "telegram"} // written where Address does not write
	for _, p := range All() {
		if p.Address == nil || p.Event == nil || len(secretsOf(p)) == 0 || slices.Contains(elsewhere, p.Name) {
			continue
		}
		r := sent(t, p, p.Samples[0], "", "other", secretsOf(p)[0])
		if event, err := p.Event(r); err != nil || event != "other" {
			t.Errorf("%s: of a sample that Address gave another event, Event is %q, %v", p.Name, event, err)
		}
	}
}

// unsigned are presets of senders that send a secret and sign nothing.
var unsigned = []string{"alertmanager", "azure-devops", "cloudflare", "harbor", "postmark", "telegram"}

// structured are presets whose signature is over parts of a body of a certain form.
var structured = []string{"linear", "mandrill", "plivo", "twilio"}

// Any bit of the body, or of a header that the sender's signature is in or covers.
func TestPresets_AnyFlippedBitRejects(t *testing.T) {
	covered := map[string][]string{
		"gitlab":            {"webhook-id", "webhook-timestamp"},
		"standard-webhooks": {"webhook-id", "webhook-timestamp"},
		"slack":             {"X-Slack-Request-Timestamp"},
	}
	for _, p := range All() {
		list := secretsOf(p)
		if len(list) == 0 || slices.Contains(inBody, p.Name) || slices.Contains(unsigned, p.Name) || slices.Contains(structured, p.Name) {
			continue
		}
		secret := list[len(list)-1]
		t.Run(p.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				body := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "body")
				r := &request.Request{Header: http.Header{"Idempotency-Key": {"id"}}, Body: body}
				if err := p.Verifier().Sign(r, []byte(secret), now); err != nil {
					t.Fatal(err)
				}
				var texts []string
				for _, name := range append(covered[p.Name], p.Verifier().Withhold()...) {
					if r.Header.Get(name) != "" {
						texts = append(texts, name)
					}
				}
				what := rapid.SampledFrom(append(texts, "body")).Draw(t, "what")
				if what == "body" {
					r.Body = flip(t, body)
				} else {
					r.Header.Set(what, string(flip(t, []byte(r.Header.Get(what)))))
				}
				if _, err := p.Verifier().Verify(r, [][]byte{[]byte(secret)}, now); err == nil {
					t.Fatalf("still verifies: %q %v", r.Body, r.Header)
				}
			})
		})
	}
}

func flip(t *rapid.T, b []byte) []byte {
	b = slices.Clone(b)
	bit := rapid.IntRange(0, 8*len(b)-1).Draw(t, "bit")
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

func TestPresets_HeadersThatAreNotTheirs(t *testing.T) {
	for _, p := range All() {
		if p.Name == "gitlab" || len(secretsOf(p)) == 0 || slices.Contains(inBody, p.Name) {
			continue // a token is not a signature of anything
		}
		secret := secretsOf(p)[0]
		good := sent(t, p, p.Samples[0], "id", p.Samples[0].Event, secret)
		var name string
		for _, n := range p.Verifier().Withhold() {
			if good.Header.Get(n) != "" {
				name = n
			}
		}
		signature := good.Header.Get(name)
		for what, value := range map[string]string{
			"upper case":   strings.ToUpper(signature),
			"cut off":      signature[:len(signature)-1],
			"extended":     signature + "0",
			"empty":        "",
			"wrong prefix": "x" + signature,
			"a space more": signature[:len(signature)-2] + " " + signature[len(signature)-2:],
			"not a header": "0",
		} {
			r := sent(t, p, p.Samples[0], "id", p.Samples[0].Event, secret)
			r.Header.Set(name, value)
			if _, err := p.Verifier().Verify(r, [][]byte{[]byte(secret)}, now); err == nil {
				t.Errorf("%s: accepted a signature that is %s: %q", p.Name, what, value)
			}
		}
		good.Header.Add(name, signature)
		if _, err := p.Verifier().Verify(good, [][]byte{[]byte(secret)}, now); err == nil {
			t.Errorf("%s: accepted a header that was sent twice", p.Name)
		}
	}
}

// hostile are bodies that no sender sends.
var hostile = []string{
	`null`, `[]`, `{}`, `"x"`, `17`, `{"id":17,"type":{},"event":[],"object_kind":null,"event_id":true}`,
	`{"ref":17,"after":{},"commits":{"added":1},"repository":"x","sender":[],"project":null}`,
	`{"ref":"refs/heads/","commits":[null,17,"x",{"added":"x","modified":[null,{},"b","a","b"],"removed":17}]}`,
	`{"id":99999999999999999999999999,"event_id":"` + strings.Repeat("x", 1<<16) + `"}`,
}

func TestPresets_SurviveHostileBodies(t *testing.T) {
	for _, p := range All() {
		for _, body := range hostile {
			r := &request.Request{Header: http.Header{"Content-Type": {contentJSON}}, Body: []byte(body)}
			if _, err := keyOf(p, r); err != nil {
				t.Errorf("%s: key of %.40s: %v", p.Name, body, err)
			}
			if _, err := eventOf(p, r); err != nil {
				t.Errorf("%s: event of %.40s: %v", p.Name, body, err)
			}
			payload, err := r.Payload()
			if err != nil {
				t.Fatal(err)
			}
			if p.Git != nil {
				p.Git("push", payload)
			}
			if p.Handshake != nil && p.Handshake(r, nil) != nil {
				t.Errorf("%s: %.40s is answered as a handshake", p.Name, body)
			}
			readdress(p, r, "id", "event")
		}
	}
}

func FuzzPresets(f *testing.F) {
	for _, p := range All() {
		for _, s := range p.Samples {
			f.Add(s.Body, s.ContentType, "sha256=00")
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType, value string) {
		for _, p := range All() {
			r := &request.Request{Header: http.Header{"Content-Type": {contentType}}, Body: body}
			for _, name := range p.Verifier().Withhold() {
				r.Header.Set(name, value)
			}
			if _, err := p.Verifier().Verify(r, [][]byte{[]byte("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), []byte("a secret nobody knows")}, now); err == nil {
				t.Errorf("%s: %q verifies", p.Name, value)
			}
			_, _ = keyOf(p, r)
			event, _ := eventOf(p, r)
			if payload, err := r.Payload(); err == nil && p.Git != nil {
				p.Git(event, payload)
			}
			if p.Handshake != nil {
				p.Handshake(r, nil)
			}
			readdress(p, r, "id", "event")
		}
	})
}

func BenchmarkPresets(b *testing.B) {
	for _, p := range All() {
		if len(secretsOf(p)) == 0 {
			continue // not signed here
		}
		b.Run(p.Name, func(b *testing.B) {
			secret := secretsOf(p)[0]
			r := sent(b, p, p.Samples[0], "id", p.Samples[0].Event, secret)
			v, list := p.Verifier(), [][]byte{[]byte(secret)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(r, list, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
