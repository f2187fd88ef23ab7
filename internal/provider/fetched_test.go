package provider

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/verify"
)

// published lets addresses answer, and counts what is asked of any.
func published(t *testing.T, documents map[string][]byte) *int {
	t.Helper()
	asked := 0
	t.Cleanup(verify.SetFetch(func(_ context.Context, url string) ([]byte, error) {
		asked++
		if d, ok := documents[url]; ok {
			return d, nil
		}
		return nil, errors.New("nobody answers at " + url)
	}))
	return &asked
}

func key(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signRSA(t *testing.T, k *rsa.PrivateKey, message string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(message))
	out, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// token is a JSON Web Token by RS256, put together by hand.
func token(t *testing.T, k *rsa.PrivateKey, kid string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	message := part(map[string]string{"alg": "RS256", "kid": kid, "typ": "JWT"}) + "." + part(claims)
	return message + "." + base64.RawURLEncoding.EncodeToString(signRSA(t, k, message))
}

// https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions: a token signed by RS256
// with a key of Google's, with the claims aud, iss, exp, email and email_verified.
func TestPubSub_TakesGooglesTokensForItsAudience(t *testing.T) {
	google, other := key(t), key(t)
	jwks := fmt.Sprintf(`{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"k1","n":%q,"e":"AQAB"}]}`, base64.RawURLEncoding.EncodeToString(google.N.Bytes()))
	published(t, map[string][]byte{"https://www.googleapis.com/oauth2/v3/certs": []byte(jwks)})
	const audience, email = "https://hooks.example.com/pubsub", "push@project.iam.gserviceaccount.com"
	claims := func(change map[string]any) map[string]any {
		out := map[string]any{"iss": "https://accounts.google.com", "aud": audience, "exp": now.Unix() + 3600, "iat": now.Unix(), "email": email, "email_verified": true}
		for name, value := range change {
			out[name] = value
		}
		return out
	}
	v := newPubSub()
	v.Audience, v.Email = audience, email
	for _, tt := range []struct {
		what, token, want string
	}{
		{"right", token(t, google, "k1", claims(nil)), ""},
		{"another audience", token(t, google, "k1", claims(map[string]any{"aud": "https://elsewhere.example.com"})), "token is for another audience"},
		{"another issuer", token(t, google, "k1", claims(map[string]any{"iss": "https://evil.example.com"})), "token is of another issuer"},
		{"another account", token(t, google, "k1", claims(map[string]any{"email": "other@example.com"})), "claim email of the token is not what it has to be"},
		{"an unverified account", token(t, google, "k1", claims(map[string]any{"email_verified": false})), "claim email_verified of the token is not what it has to be"},
		{"expired", token(t, google, "k1", claims(map[string]any{"exp": now.Unix() - 3600})), "token has expired"},
		{"another's key", token(t, other, "k1", claims(nil)), "signature does not match"},
		{"an unknown key", token(t, other, "k2", claims(nil)), "the token's key is not one of the sender's"},
	} {
		_, err := v.Verify(post("{}", "Authorization: Bearer "+tt.token), nil, now)
		t.Run(tt.what, func(t *testing.T) { wantError(t, err, tt.want) })
	}
	if problems := newPubSub().Check(); len(problems) == 0 {
		t.Error("a hook without an audience takes everybody's tokens")
	}
}

// https://developer.paypal.com/api/rest/webhooks: the signature is RSA with SHA-256 over
// transmission id, time, webhook id and CRC-32 of the body, between bars.
func TestPayPal_TakesWhatPayPalsCertificateSigned(t *testing.T) {
	k := key(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	const address = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42"
	asked := published(t, map[string][]byte{address: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})})
	const body, id = `{"id":"WH-1"}`, "WEBHOOK-ID-1"
	signature := base64.StdEncoding.EncodeToString(signRSA(t, k, fmt.Sprintf("t1|2023-11-14T22:13:20Z|%s|%d", id, crc32.ChecksumIEEE([]byte(body)))))
	headers := func(change ...string) []string {
		return append([]string{
			"Paypal-Auth-Algo: SHA256withRSA", "Paypal-Cert-Url: " + address, "Paypal-Transmission-Id: t1", "Paypal-Transmission-Time: 2023-11-14T22:13:20Z",
			"Paypal-Transmission-Sig: " + signature,
		}, change...)
	}
	for _, tt := range []struct {
		what, body, secret, from, to, want string
	}{
		{"right", body, id, "", "", ""},
		{"another body", body + " ", id, "", "", "signature does not match"},
		{"another webhook", body, "WEBHOOK-ID-2", "", "", "signature does not match"},
		{"another time", body, id, "22:13:20", "22:13:21", "signature does not match"},
		{"a certificate of somebody else", body, id, "api.paypal.com", "api.paypal.com.evil.example", "the certificate's address is not PayPal's"},
		{"a certificate over http", body, id, "https://", "http://", "the certificate's address is not PayPal's"},
		{"another algorithm", body, id, "SHA256withRSA", "SHA1withRSA", "header PAYPAL-AUTH-ALGO is not SHA256withRSA"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			var lines []string
			for _, line := range headers() {
				if tt.from != "" {
					line = strings.ReplaceAll(line, tt.from, tt.to)
				}
				lines = append(lines, line)
			}
			_, err := paypalVerifier{}.Verify(post(tt.body, lines...), secrets("", tt.secret), now)
			wantError(t, err, tt.want)
		})
	}
	if *asked != 1 {
		t.Errorf("the certificate was fetched %d times", *asked)
	}
}

func TestSNS_ForgedMessagesDoNotMakeUsAskAround(t *testing.T) {
	asked := published(t, nil)
	for i := range 50 {
		body := fmt.Sprintf(`{"Type":"Notification","SignatureVersion":"2","Signature":"AAAA","SigningCertURL":"https://sns.us-east-%d.amazonaws.com/x.pem"}`, i)
		if _, err := newSNS().Verify(post(body), nil, now); err == nil {
			t.Fatal("verified")
		}
	}
	for _, address := range []string{"http://sns.us-east-1.amazonaws.com/x.pem", "https://sns.evil.example/x.pem", "https://sns.us-east-1.amazonaws.com.evil.example/x.pem", "https://a@sns.us-east-1.amazonaws.com/x.pem", "file:///etc/passwd", "https://sns.us-east-1.amazonaws.com/x.pem?a"} {
		body := fmt.Sprintf(`{"Type":"Notification","SignatureVersion":"2","Signature":"AAAA","SigningCertURL":%q}`, address)
		_, err := newSNS().Verify(post(body), nil, now.Add(time.Hour))
		wantError(t, err, "the certificate's address is not Amazon's")
	}
	if *asked > 1 {
		t.Errorf("%d certificates were asked for in one second", *asked)
	}
}

func TestHandshakes_AreAnsweredAsTheirSendersWantThem(t *testing.T) {
	for _, tt := range []struct {
		preset, method, query, body, header string
		status                              int
		answer                              string
	}{
		{"meta", "GET", "hub.mode=subscribe&hub.verify_token=s3cret&hub.challenge=1158201444", "", "", 200, "1158201444"},
		{"meta", "GET", "hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1158201444", "", "", 0, ""},
		{"meta", "GET", "hub.mode=subscribe&hub.verify_token=&hub.challenge=1158201444", "", "", 0, ""},
		{"meta", "POST", "hub.mode=subscribe&hub.verify_token=s3cret&hub.challenge=1158201444", "", "", 0, ""},
		{"dropbox", "GET", "challenge=abc", "", "", 200, "abc"},
		{"dropbox", "GET", "", "", "", 0, ""},
		{"dropbox", "GET", "challenge=" + strings.Repeat("x", 5000), "", "", 0, ""},
		{"microsoft-graph", "POST", "validationToken=Validation%3A+a%2Bb", "", "", 200, "Validation: a+b"},
		{"microsoft-graph", "POST", "", "{}", "", 0, ""},
		{"asana", "POST", "", "{}", "X-Hook-Secret: b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81", 200, ""},
		{"asana", "POST", "", `{"events":[{}]}`, "X-Hook-Secret: x", 0, ""},
		{"trello", "HEAD", "", "", "", 200, ""},
		{"trello", "POST", "", "{}", "", 0, ""},
		// echo -n my_token | openssl dgst -sha256 -hmac s3cret -binary | base64
		{"x-twitter", "GET", "crc_token=my_token", "", "", 200, `{"response_token":"sha256=l98uClMEwIOLZfGTOHm7HUQUvdqSwevzGG6bzI3OnkU="}`},
		{"zoom", "POST", "", `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`, "", 200, "ZOOM"},
		{"zoom", "POST", "", `{"event":"meeting.started","payload":{}}`, "", 0, ""},
		{"discord", "POST", "", `{"type":1,"id":"1"}`, "", 200, `{"type":1}`},
		{"discord", "POST", "", `{"version":1,"type":0}`, "", 204, ""},
		{"discord", "POST", "", `{"type":2,"data":{"name":"deploy"}}`, "", 0, ""},
		{"twitch", "POST", "", `{"challenge":"pogchamp-kappa-360noscope-vohiyo"}`, "Twitch-Eventsub-Message-Type: webhook_callback_verification", 200, "pogchamp-kappa-360noscope-vohiyo"},
		{"twitch", "POST", "", `{"challenge":"x"}`, "Twitch-Eventsub-Message-Type: notification", 0, ""},
	} {
		r := post(tt.body, "Content-Type: application/json")
		if name, value, ok := strings.Cut(tt.header, ": "); ok {
			r.Header.Set(name, value)
		}
		r.Method, r.RawQuery = tt.method, tt.query
		p := lookup(t, tt.preset)
		var got *Answer
		if p.Greeting != nil {
			got = p.Greeting(r, secrets("", "s3cret"))
			if tt.preset == "x-twitter" {
				got = p.Greeting(r, secrets("s3cret"))
			}
		} else {
			got = p.Handshake(r, secrets("s3cret"))
		}
		switch {
		case tt.status == 0 && got != nil:
			t.Errorf("%s %s?%s %s: answered %d %s", tt.preset, tt.method, tt.query, tt.body, got.Status, got.Body)
		case tt.status == 0:
		case got == nil:
			t.Errorf("%s %s?%s %s: not answered", tt.preset, tt.method, tt.query, tt.body)
		case tt.answer == "ZOOM":
			want := fmt.Sprintf(`{"encryptedToken":"%x","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}`, mac("s3cret", "qgg8vlvZRS6UYooatFL8Aw"))
			if string(got.Body) != want {
				t.Errorf("zoom: answered %s, want %s", got.Body, want)
			}
		case got.Status != tt.status || string(got.Body) != tt.answer:
			t.Errorf("%s %s?%s: answered %d %s", tt.preset, tt.method, tt.query, got.Status, got.Body)
		}
	}
}

func TestSNS_ConfirmsASubscriptionOnlyWhenAllowedAndOnlyAtAmazon(t *testing.T) {
	const amazon = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=b"
	message := func(kind, address string) string {
		return fmt.Sprintf(`{"Type":%q,"SubscribeURL":%q}`, kind, address)
	}
	for _, tt := range []struct {
		what, body       string
		allow            bool
		confirmed, fails bool
	}{
		{"allowed", message("SubscriptionConfirmation", amazon), true, true, false},
		{"not allowed", message("SubscriptionConfirmation", amazon), false, false, false},
		{"a notification", message("Notification", amazon), true, false, false},
		{"another host", message("SubscriptionConfirmation", "https://evil.example/?Action=ConfirmSubscription"), true, false, true},
		{"another action", message("SubscriptionConfirmation", "https://sns.us-east-1.amazonaws.com/?Action=DeleteTopic"), true, false, true},
		{"over http", message("SubscriptionConfirmation", strings.Replace(amazon, "https", "http", 1)), true, false, true},
	} {
		asked := published(t, map[string][]byte{amazon: []byte("<ok/>")})
		v := newSNS()
		v.Allow = tt.allow
		confirmed, err := v.Confirm(t.Context(), post(tt.body))
		if confirmed != tt.confirmed || (err != nil) != tt.fails || (*asked == 1) != tt.confirmed {
			t.Errorf("%s: confirmed %t, %v, asked %d times", tt.what, confirmed, err, *asked)
		}
	}
}
