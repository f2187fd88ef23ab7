package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func TestEd25519_SignsTimestampAndBody(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := NewEd25519()
	e.Header, e.Timestamp.Header, e.Signed = []string{"X-Sig"}, "X-Time", "{timestamp}.{body}"
	r := post("{}")
	if err := e.Sign(r, []byte(hex.EncodeToString(private)), now); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range map[string]string{
		"hex": hex.EncodeToString(public), "base64": base64.StdEncoding.EncodeToString(public), "whpk_": "whpk_" + base64.StdEncoding.EncodeToString(public),
		"DER": base64.StdEncoding.EncodeToString(der), "PEM": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	} {
		if secret, err := e.Verify(r, secrets("", "00", key), now); err != nil || secret != 2 {
			t.Errorf("%s: secret %d, %v", what, secret, err)
		}
	}
	key := secrets(hex.EncodeToString(public))
	if _, err := e.Verify(r, key, now.Add(6*time.Minute)); err == nil {
		t.Error("an old one verifies")
	}
	r.Body = []byte("{ }")
	if _, err := e.Verify(r, key, now); errorText(err) != "signature does not match" {
		t.Errorf("another body: %v", err)
	}
	if e.CheckSecret([]byte("not a key")) == nil || e.Sign(r, []byte(hex.EncodeToString(public)), now) == nil {
		t.Error("what is no key is taken for one")
	}
}

func TestECDSA_TakesBothFormsAndNoOther(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("{}"))
	asn1, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	r1, s1, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	raw := append(r1.FillBytes(make([]byte, 32)), s1.FillBytes(make([]byte, 32))...)
	base, armoured := base64.StdEncoding.EncodeToString(der), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for _, tt := range []struct {
		what, format, key, body string
		signature               []byte
		ok                      bool
	}{
		{"DER, base64 key", "der", base, "{}", asn1, true},
		{"DER, PEM key", "der", armoured, "{}", asn1, true},
		{"raw", "raw", base, "{}", raw, true},
		{"raw where DER is said", "der", base, "{}", raw, false},
		{"DER where raw is said", "raw", base, "{}", asn1, false},
		{"another body", "der", base, "{ }", asn1, false},
		{"zeros", "raw", base, "{}", make([]byte, 64), false},
		{"no key", "der", "nonsense", "{}", asn1, false},
	} {
		e := NewECDSA()
		e.Header, e.Format = []string{"X-Sig"}, tt.format
		_, err := e.Verify(post(tt.body, "X-Sig: "+base64.StdEncoding.EncodeToString(tt.signature)), secrets(tt.key), now)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(&other.PublicKey); err != nil {
		t.Fatal(err)
	}
	if NewECDSA().CheckSecret(der) == nil {
		t.Error("a key on another curve is taken")
	}
}

func TestDigest_HasTheSecretInIt(t *testing.T) {
	d := NewDigest()
	d.Header = []string{"X-Sig"}
	sum := sha256.Sum256([]byte("secret{}"))
	r := post("{}", "X-Sig: "+hex.EncodeToString(sum[:]))
	if _, err := d.Verify(r, secrets("other", "secret"), now); err != nil {
		t.Error(err)
	}
	if _, err := d.Verify(r, secrets("other"), now); err == nil {
		t.Error("another secret verifies")
	}
	d.Signed = "{body}"
	if problems := d.Check(); len(problems) != 1 || !strings.Contains(problems[0].Message, "{secret}") {
		t.Errorf("a hash without a secret has the problems %v", problems)
	}
}

func TestCombined_AnyAndAllAreWhatTheySay(t *testing.T) {
	sig, token := NewHMAC(), &Token{Source{Header: []string{"X-Token"}}}
	sig.Header = []string{"X-Sig"}
	both := post("{}")
	if err := (All{sig, token}).Sign(both, []byte("secret"), now); err != nil {
		t.Fatal(err)
	}
	onlyToken, neither := post("{}", "X-Token: secret"), post("{}")
	for _, tt := range []struct {
		what string
		v    Verifier
		r    *request.Request
		ok   bool
	}{
		{"all of both", All{sig, token}, both, true},
		{"all of one", All{sig, token}, onlyToken, false},
		{"any of both", Any{sig, token}, both, true},
		{"any of one", Any{sig, token}, onlyToken, true},
		{"any of none", Any{sig, token}, neither, false},
		{"all of nothing", All{}, both, false},
		{"any of nothing", Any{}, both, false},
	} {
		secret, err := tt.v.Verify(tt.r, secrets("other", "secret"), now)
		if (err == nil) != tt.ok || tt.ok && secret != 1 {
			t.Errorf("%s: secret %d, %v", tt.what, secret, err)
		}
	}
}

func TestCombined_AVerifierWithSecretsOfItsOwnLooksAtNoOthers(t *testing.T) {
	own := Own{&Token{Source{Header: []string{"X-Token"}}}, secrets("mine")}
	if _, err := own.Verify(post("{}", "X-Token: mine"), secrets("hooks"), now); err != nil {
		t.Error(err)
	}
	if _, err := own.Verify(post("{}", "X-Token: hooks"), secrets("hooks"), now); err == nil {
		t.Error("the hook's secret verifies")
	}
	if own.NeedsSecret() {
		t.Error("asks for a secret of the hook")
	}
}
