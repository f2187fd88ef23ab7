package verify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// compact is a token with any header, signed by sign.
func compact(t testing.TB, header, claims map[string]any, sign func(message string) []byte) string {
	t.Helper()
	var parts []string
	for _, v := range []map[string]any{header, claims} {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, b64(raw))
	}
	message := strings.Join(parts, ".")
	return message + "." + b64(sign(message))
}

func byHS256(secret string) func(string) []byte {
	return func(message string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(message))
		return mac.Sum(nil)
	}
}

func hs256(t testing.TB, secret string, claims map[string]any) string {
	return compact(t, map[string]any{"alg": "HS256", "typ": "JWT"}, claims, byHS256(secret))
}

func TestJWT_TakesWhatTheSettingsSayAndNothingTheTokenSays(t *testing.T) {
	soon := now.Unix() + 60
	none := func(string) []byte { return []byte{} }
	j := NewJWT()
	j.Issuer, j.Audience = "me", "you"
	good := map[string]any{"iss": "me", "aud": "you", "exp": soon}
	with := func(name string, value any) map[string]any {
		out := map[string]any{name: value}
		for k, v := range good {
			if _, ok := out[k]; !ok {
				out[k] = v
			}
		}
		if value == nil {
			delete(out, name)
		}
		return out
	}
	for _, tt := range []struct{ what, token, want string }{
		{"right", hs256(t, "secret", good), ""},
		{"a list of audiences", hs256(t, "secret", with("aud", []string{"x", "you"})), ""},
		{"another secret", hs256(t, "other", good), "signature does not match"},
		{"no algorithm", compact(t, map[string]any{"alg": "none"}, good, none), "token is signed by an algorithm that is not one of HS256"},
		{"another algorithm", compact(t, map[string]any{"alg": "HS512"}, good, byHS256("secret")), "token is signed by an algorithm that is not one of HS256"},
		{"an algorithm of another case", compact(t, map[string]any{"alg": "hs256"}, good, byHS256("secret")), "token is signed by an algorithm that is not one of HS256"},
		{"something critical", compact(t, map[string]any{"alg": "HS256", "crit": []string{"b64"}}, good, byHS256("secret")), "token is signed by an algorithm that is not one of HS256"},
		{"expired", hs256(t, "secret", with("exp", now.Unix()-61)), "token has expired"},
		{"expired within the leeway", hs256(t, "secret", with("exp", now.Unix()-59)), ""},
		{"not yet", hs256(t, "secret", with("nbf", now.Unix()+61)), "token is not valid yet"},
		{"of the future", hs256(t, "secret", with("iat", now.Unix()+61)), "token was issued in the future"},
		{"endless", hs256(t, "secret", with("exp", nil)), "token never expires: set max_age to take it"},
		{"an absurd end", hs256(t, "secret", with("exp", 1e300)), "claim exp of the token is not a time"},
		{"an end in words", hs256(t, "secret", with("exp", "tomorrow")), "claim exp of the token is not a time"},
		{"another issuer", hs256(t, "secret", with("iss", "him")), "token is of another issuer"},
		{"no audience", hs256(t, "secret", with("aud", nil)), "token is for another audience"},
		{"two parts", "a.b", "header Authorization is not a token of three parts"},
		{"no base64", "a.!.c", "header Authorization is not a token: its parts are not base64url"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			_, err := j.Verify(post("{}", "Authorization: Bearer "+tt.token), secrets("x", "secret"), now)
			if got := errorText(err); got != tt.want {
				t.Errorf("error is %q, want %q", got, tt.want)
			}
		})
	}
	if _, err := NewJWT().Verify(post("{}", "Authorization: Bearer "+hs256(t, "", good)), secrets(""), now); err == nil {
		t.Error("an empty secret verifies")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestJWT_BindsTheBodyAndTheAddress(t *testing.T) {
	j := NewJWT()
	j.BodyClaim, j.URLClaim = "body", "url"
	r := post("{}")
	r.Host = "hooks.example.com"
	if err := j.Sign(r, []byte("secret"), now); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Verify(r, secrets("secret"), now); err != nil {
		t.Errorf("its own token: %v", err)
	}
	r.RawQuery = "a=1"
	if _, err := j.Verify(r, secrets("secret"), now); errorText(err) != "token is of another address" {
		t.Errorf("another address: %v", err)
	}
	r.RawQuery, r.Body = "", []byte("{ }")
	if _, err := j.Verify(r, secrets("secret"), now); errorText(err) != "token is of another body" {
		t.Errorf("another body: %v", err)
	}
}

// issuer is a sender with keys that change.
type issuer struct {
	keys  map[string]*ecdsa.PrivateKey
	fails bool
	asked int
}

func (i *issuer) document(context.Context, string) ([]byte, error) {
	i.asked++
	if i.fails {
		return nil, errors.New("down")
	}
	var list []string
	for kid, k := range i.keys {
		point, err := k.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}`, kid, b64(point[1:33]), b64(point[33:])))
	}
	return []byte(`{"keys":[` + strings.Join(list, ",") + `]}`), nil
}

func (i *issuer) token(t *testing.T, kid string) string {
	t.Helper()
	return compact(t, map[string]any{"alg": "ES256", "kid": kid}, map[string]any{"iss": "me", "exp": now.Add(365 * 24 * time.Hour).Unix()}, func(message string) []byte {
		sum := sha256.Sum256([]byte(message))
		r, s, err := ecdsa.Sign(rand.Reader, i.keys[kid], sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	})
}

func (i *issuer) rotate(t *testing.T, kid string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.keys = map[string]*ecdsa.PrivateKey{kid: k}
}

func TestKeySet_FollowsARotationAndAsksSeldom(t *testing.T) {
	i := &issuer{}
	t.Cleanup(SetFetch(i.document))
	i.rotate(t, "one")
	j := NewJWT()
	j.JWKS, j.Issuer = "https://issuer.example/keys", "me"
	clock := now
	try := func(token string) error {
		_, err := j.Verify(post("{}", "Authorization: Bearer "+token), nil, clock)
		return err
	}
	first := i.token(t, "one")
	for range 10 {
		if err := try(first); err != nil {
			t.Fatal(err)
		}
	}
	if i.asked != 1 {
		t.Errorf("asked %d times for a key that was known", i.asked)
	}
	i.rotate(t, "two")
	second := i.token(t, "two")
	clock = clock.Add(time.Minute)
	if err := try(second); err != nil || i.asked != 2 {
		t.Errorf("after a rotation: %v, asked %d times", err, i.asked)
	}
	unknown := strings.Replace(second, b64([]byte(`{"alg":"ES256","kid":"two"}`)), b64([]byte(`{"alg":"ES256","kid":"six"}`)), 1)
	for range 100 {
		if err := try(unknown); err == nil {
			t.Fatal("an unknown key verifies")
		}
	}
	if i.asked > 3 {
		t.Errorf("asked %d times: forged tokens make us ask", i.asked)
	}
	i.fails = true
	clock = clock.Add(2 * time.Hour)
	if err := try(second); err != nil {
		t.Errorf("while the sender is down: %v", err)
	}
	clock = clock.Add(48 * time.Hour)
	if err := try(second); err == nil {
		t.Error("a key counts for ever when its sender is down")
	}
}

func TestKeySet_TakesNoWeakKey(t *testing.T) {
	for what, document := range map[string]string{
		"RSA of 512 bits":   `{"keys":[{"kty":"RSA","kid":"a","n":"` + b64(make([]byte, 64)) + `","e":"AQAB"}]}`,
		"another use":       `{"keys":[{"kty":"RSA","use":"enc","kid":"a","n":"` + b64(append([]byte{255}, make([]byte, 255)...)) + `","e":"AQAB"}]}`,
		"no point":          `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}]}`,
		"a shared secret":   `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`,
		"no keys":           `{"keys":[]}`,
		"not a set of keys": `<html>`,
	} {
		if keys, err := parseKeys([]byte(document)); err == nil {
			t.Errorf("%s: took %v", what, keys)
		}
	}
}

func FuzzJWT(f *testing.F) {
	f.Add("Bearer " + hs256(f, "secret", map[string]any{"exp": 1}))
	f.Add("a.b.c")
	f.Add("Bearer e30.e30.")
	f.Fuzz(func(t *testing.T, header string) {
		r := post("{}")
		r.Header["Authorization"] = []string{header}
		if _, err := NewJWT().Verify(r, secrets("a secret nobody knows"), now); err == nil {
			t.Errorf("%q verifies", header)
		}
	})
}
