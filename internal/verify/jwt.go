package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func init() {
	register(Kind{
		Name: "jwt",
		Doc: `A JSON Web Token. Keys: header (Authorization, after Bearer) or query; algorithms ([HS256] with a secret, [RS256,
ES256] with jwks); jwks (the https address of the sender's keys); issuer; audience; claims (name: value, each must be there and
equal); body_claim (the claim that holds the SHA-256 of the body in hex); url_claim (the same of the address); leeway (1m); max_age
(of iat; none).`,
		New: func() Verifier { return NewJWT() },
	})
}

// JWT checks a JSON Web Token (RFC 7519, RFC 8725). The algorithms are fixed by the settings: what
// the token says of its own only chooses among them.
type JWT struct {
	Source

	Algorithms []string          `yaml:"algorithms" doc:"HS256, HS384, HS512 with a secret; RS256, ES256 and others with jwks."`
	JWKS       string            `yaml:"jwks" doc:"https address of the sender's keys."`
	Issuer     string            `yaml:"issuer" doc:"What iss must be."`
	Audience   string            `yaml:"audience" doc:"What aud must be or hold."`
	Claims     map[string]string `yaml:"claims" doc:"Claims that must be there and equal."`
	BodyClaim  string            `yaml:"body_claim" doc:"Claim that holds the SHA-256 of the body in hex."`
	URLClaim   string            `yaml:"url_claim" doc:"Claim that holds the SHA-256 of the address in hex."`
	Leeway     time.Duration     `yaml:"leeway" doc:"How wrong a clock may be."`
	MaxAge     time.Duration     `yaml:"max_age" doc:"How old iat may be; otherwise any."`
	// EmptyBody says that a request without a body has no body claim.
	EmptyBody bool `yaml:"-"`

	keys *keySet
}

// NewJWT is a token of the Authorization header.
func NewJWT() *JWT {
	return &JWT{Source: Source{Header: []string{"Authorization"}}, Leeway: time.Minute, keys: &keySet{}}
}

// jwtAlgorithms are those that can be configured; none is none of them.
var jwtAlgorithms = map[string]crypto.Hash{
	"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512,
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512, "ES256": crypto.SHA256,
}

func (j *JWT) algorithms() []string {
	switch {
	case len(j.Algorithms) > 0:
		return j.Algorithms
	case j.JWKS != "":
		return []string{"RS256", "ES256"}
	}
	return []string{"HS256"}
}

type jwtHeader struct {
	Algorithm string   `json:"alg"`
	Key       string   `json:"kid"`
	Critical  []string `json:"crit"`
}

// Verify checks the signature first, and the claims of a token that has a right one.
func (j *JWT) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	token, place, err := j.value(r)
	if err != nil {
		return -1, err
	}
	if rest, ok := strings.CutPrefix(token, "Bearer "); ok {
		token = rest
	}
	head, claims, message, signature, err := splitJWT(token)
	if err != nil {
		return -1, fmt.Errorf("%s %w", place, err)
	}
	if !slices.Contains(j.algorithms(), head.Algorithm) || len(head.Critical) > 0 {
		return -1, fmt.Errorf("token is signed by an algorithm that is not one of %s", strings.Join(j.algorithms(), ", "))
	}
	match, err := j.signed(head, secrets, message, signature, now)
	if err != nil {
		return -1, err
	}
	return match, j.checkClaims(claims, r, now)
}

// splitJWT takes a token apart, strictly.
func splitJWT(token string) (head jwtHeader, claims map[string]any, message, signature []byte, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return head, nil, nil, nil, errors.New("is not a token of three parts")
	}
	var raw [3][]byte
	for i, part := range parts {
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return head, nil, nil, nil, errors.New("is not a token: its parts are not base64url")
		}
	}
	if err := json.Unmarshal(raw[0], &head); err != nil {
		return head, nil, nil, nil, errors.New("is not a token: its header is not JSON")
	}
	payload, err := request.Decode(request.FormatJSON, "", raw[1])
	claims, ok := payload.(map[string]any)
	if err != nil || !ok {
		return head, nil, nil, nil, errors.New("is not a token: its claims are not a JSON object")
	}
	return head, claims, []byte(parts[0] + "." + parts[1]), raw[2], nil
}

func (j *JWT) signed(head jwtHeader, secrets [][]byte, message, signature []byte, now time.Time) (int, error) {
	hash := jwtAlgorithms[head.Algorithm]
	digest := hash.New()
	_, _ = digest.Write(message)
	if j.JWKS != "" {
		keys, err := j.keys.find(j.JWKS, head.Key, now)
		if err != nil {
			return -1, err
		}
		for _, key := range keys {
			if verifyJWT(head.Algorithm, hash, key, digest.Sum(nil), signature) {
				return -1, nil
			}
		}
		return -1, errMismatch
	}
	if !usable(secrets) {
		return -1, errNoSecret
	}
	match := -1
	for i, secret := range secrets {
		if len(secret) == 0 {
			continue
		}
		mac := hmac.New(hash.New, secret)
		_, _ = mac.Write(message)
		if hmac.Equal(mac.Sum(nil), signature) && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return -1, errMismatch
	}
	return match, nil
}

func verifyJWT(algorithm string, hash crypto.Hash, key crypto.PublicKey, digest, signature []byte) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") && rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return algorithm == "ES256" && len(signature) == 64 &&
			ecdsa.Verify(key, digest, new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}

func (j *JWT) checkClaims(claims map[string]any, r *request.Request, now time.Time) error {
	if err := j.checkTimes(claims, now); err != nil {
		return err
	}
	if j.Issuer != "" && claims["iss"] != j.Issuer {
		return errors.New("token is of another issuer")
	}
	if j.Audience != "" && !isAudience(claims["aud"], j.Audience) {
		return errors.New("token is for another audience")
	}
	for name, want := range j.Claims {
		if got := claims[name]; got != want && fmt.Sprint(got) != want {
			return fmt.Errorf("claim %s of the token is not what it has to be", name)
		}
	}
	if j.BodyClaim != "" && (!j.EmptyBody || len(r.Body) > 0 || claims[j.BodyClaim] != nil) {
		if err := sameSum(claims, j.BodyClaim, r.Body, "body"); err != nil {
			return err
		}
	}
	if j.URLClaim != "" {
		return sameSum(claims, j.URLClaim, []byte(address(r)), "address")
	}
	return nil
}

func sameSum(claims map[string]any, name string, content []byte, what string) error {
	sum := sha256.Sum256(content)
	said, _ := claims[name].(string)
	if !hmac.Equal([]byte(strings.ToLower(said)), []byte(hex.EncodeToString(sum[:]))) {
		return fmt.Errorf("token is of another %s", what)
	}
	return nil
}

func (j *JWT) checkTimes(claims map[string]any, now time.Time) error {
	times := map[string]time.Time{}
	for _, name := range []string{"exp", "nbf", "iat"} {
		at, there, err := numericDate(claims[name])
		if err != nil {
			return fmt.Errorf("claim %s of the token is not a time", name)
		}
		if there {
			times[name] = at
		}
	}
	exp, hasEnd := times["exp"]
	iat, hasBegin := times["iat"]
	switch {
	case hasEnd && !now.Before(exp.Add(j.Leeway)):
		return errors.New("token has expired")
	case now.Add(j.Leeway).Before(times["nbf"]):
		return errors.New("token is not valid yet")
	case hasBegin && now.Add(j.Leeway).Before(iat):
		return errors.New("token was issued in the future")
	case j.MaxAge > 0 && (!hasBegin || now.Sub(iat) > j.MaxAge+j.Leeway):
		return fmt.Errorf("token is older than %s", j.MaxAge)
	case !hasEnd && j.MaxAge == 0 && j.BodyClaim == "":
		return errors.New("token never expires: set max_age to take it")
	}
	return nil
}

// numericDate is seconds since 1970, with or without a fraction.
func numericDate(v any) (at time.Time, there bool, err error) {
	switch v := v.(type) {
	case nil:
		return time.Time{}, false, nil
	case int64:
		if v >= 0 && v < 1e11 {
			return time.Unix(v, 0), true, nil
		}
	case float64:
		if v >= 0 && v < 1e11 {
			return time.UnixMilli(int64(v * 1000)), true, nil
		}
	}
	return time.Time{}, false, errors.New("not a time")
}

// isAudience reports whether aud, a text or a list of them, has the one that is wanted.
func isAudience(aud any, want string) bool {
	if list, ok := aud.([]any); ok {
		return slices.Contains(list, any(want))
	}
	return aud == want
}

// Sign makes a token of five minutes with the first algorithm, which must have a secret.
func (j *JWT) Sign(r *request.Request, secret []byte, now time.Time) error {
	algorithm := j.algorithms()[0]
	if !strings.HasPrefix(algorithm, "HS") {
		return ErrOnlyChecks
	}
	claims := map[string]any{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name, value := range j.Claims {
		claims[name] = value
	}
	set := func(name, value string) {
		if name != "" && value != "" {
			claims[name] = value
		}
	}
	set("iss", j.Issuer)
	set("aud", j.Audience)
	body, target := sha256.Sum256(r.Body), sha256.Sum256([]byte(address(r)))
	set(j.BodyClaim, hex.EncodeToString(body[:]))
	set(j.URLClaim, hex.EncodeToString(target[:]))
	head, err := json.Marshal(map[string]string{"alg": algorithm, "typ": "JWT"})
	if err != nil {
		return err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	message := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(jwtAlgorithms[algorithm].New, secret)
	_, _ = mac.Write([]byte(message))
	token := message + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if len(j.Header) > 0 && j.Header[0] == "Authorization" {
		token = "Bearer " + token
	}
	return j.set(r, token)
}

// Withhold names the header of the token.
func (j *JWT) Withhold() []string { return j.Header }

// NeedsSecret reports whether the keys are not fetched.
func (j *JWT) NeedsSecret() bool { return j.JWKS == "" }

// Check finds what is wrong with the settings.
func (j *JWT) Check() []Problem {
	problems := j.check()
	add := func(key, message string, hints ...string) {
		problems = append(problems, Problem{Path: []string{key}, Message: message, Hints: hints})
	}
	for _, a := range j.Algorithms {
		switch {
		case jwtAlgorithms[a] == 0:
			add("algorithms", fmt.Sprintf("algorithm %q cannot be configured", a), "one of HS256, HS384, HS512, RS256, RS384, RS512, ES256")
		case strings.HasPrefix(a, "HS") == (j.JWKS != ""):
			add("algorithms", a+" does not go with the keys: HS… takes a secret, the others jwks")
		}
	}
	if j.JWKS != "" && !strings.HasPrefix(j.JWKS, "https://") {
		add("jwks", "jwks wants an https:// address: whoever could change the answer could sign")
	}
	if j.JWKS != "" && j.Audience == "" && j.Issuer == "" {
		add("audience", "the keys of jwks sign for everybody: say whose tokens, and for whom", "audience: https://hooks.example.com", "issuer: https://accounts.example.com")
	}
	return problems
}
