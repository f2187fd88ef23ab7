package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func init() {
	register(Kind{
		Name: "token",
		Doc:  "The sender repeats the secret itself. Keys: one of header (a name, or a list tried in order), query and field.",
		New:  func() Verifier { return &Token{} },
	})
	register(Kind{
		Name: "bearer",
		Doc:  "Authorization: Bearer with the secret. No keys.",
		New:  func() Verifier { return &Bearer{} },
	})
	register(Kind{
		Name: "basic",
		Doc:  "HTTP basic authentication with the secret as the password. Keys: username.",
		New:  func() Verifier { return &Basic{} },
	})
}

var errWrongToken = errors.New("token does not match")

// Token compares a header, query parameter or field with the secret.
type Token struct {
	Source
}

// Verify compares the whole value with every secret.
func (t *Token) Verify(r *request.Request, secrets [][]byte, _ time.Time) (int, error) {
	value, _, err := t.value(r)
	if err != nil {
		return -1, err
	}
	return matchToken(value, secrets)
}

// Sign writes the secret.
func (t *Token) Sign(r *request.Request, secret []byte, _ time.Time) error {
	if len(secret) == 0 {
		return errNoSecret
	}
	return t.set(r, string(secret))
}

// Withhold names the headers that may hold the secret.
func (t *Token) Withhold() []string { return t.Header }

// Places implements Placer.
func (t *Token) Places() (query, field string) { return t.Query, t.Field }

// NeedsSecret is true.
func (*Token) NeedsSecret() bool { return true }

// Check finds what is wrong with the settings.
func (t *Token) Check() []Problem { return t.check() }

// CheckSecret finds a secret that no header can carry.
func (t *Token) CheckSecret(secret []byte) error {
	if len(t.Header) == 0 {
		return nil
	}
	return headerSafe(secret)
}

// Bearer checks the token of an Authorization header.
type Bearer struct{}

// Verify compares the token with every secret.
func (*Bearer) Verify(r *request.Request, secrets [][]byte, _ time.Time) (int, error) {
	token, err := credentials(r, "Bearer")
	if err != nil {
		return -1, err
	}
	return matchToken(token, secrets)
}

// Sign writes the header.
func (*Bearer) Sign(r *request.Request, secret []byte, _ time.Time) error {
	if len(secret) == 0 {
		return errNoSecret
	}
	setHeader(r, "Authorization", "Bearer "+string(secret))
	return nil
}

// Withhold names the Authorization header.
func (*Bearer) Withhold() []string { return []string{"Authorization"} }

// NeedsSecret is true.
func (*Bearer) NeedsSecret() bool { return true }

// CheckSecret finds a secret that no header can carry.
func (*Bearer) CheckSecret(secret []byte) error { return headerSafe(secret) }

// Basic checks the user and password of an Authorization header.
type Basic struct {
	Username string `yaml:"username,required" doc:"The user; the secret is the password."`
}

// Verify compares the user with Username and the password with every secret.
func (b *Basic) Verify(r *request.Request, secrets [][]byte, _ time.Time) (int, error) {
	encoded, err := credentials(r, "Basic")
	if err != nil {
		return -1, err
	}
	pair, err := base64.StdEncoding.Strict().DecodeString(encoded)
	user, password, found := strings.Cut(string(pair), ":")
	if err != nil || !found || strings.ContainsAny(encoded, "\r\n") {
		return -1, errors.New("header Authorization is not readable as user and password")
	}
	secret, err := matchToken(password, secrets)
	if !sameText([]byte(user), []byte(b.Username)) || err == errWrongToken {
		return -1, errors.New("user or password does not match")
	}
	return secret, err
}

// Sign writes the header.
func (b *Basic) Sign(r *request.Request, secret []byte, _ time.Time) error {
	if len(secret) == 0 {
		return errNoSecret
	}
	setHeader(r, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(b.Username+":"+string(secret))))
	return nil
}

// Withhold names the Authorization header.
func (*Basic) Withhold() []string { return []string{"Authorization"} }

// NeedsSecret is true.
func (*Basic) NeedsSecret() bool { return true }

// Check finds what is wrong with the settings.
func (b *Basic) Check() []Problem {
	switch {
	case b.Username == "":
		return []Problem{{Path: []string{"username"}, Message: "username is empty"}}
	case strings.Contains(b.Username, ":"):
		return []Problem{{Path: []string{"username"}, Message: "username cannot hold a colon: basic authentication ends it there"}}
	}
	return nil
}

// credentials is what follows the scheme's name in the Authorization header.
func credentials(r *request.Request, scheme string) (string, error) {
	value, err := headerValue(r, "Authorization")
	if err != nil {
		return "", err
	}
	name, rest, found := strings.Cut(value, " ")
	if rest = strings.TrimLeft(rest, " "); !found || rest == "" || !strings.EqualFold(name, scheme) {
		return "", errors.New("header Authorization is not " + scheme + " and a value")
	}
	return rest, nil
}

// matchToken tries every secret.
func matchToken(value string, secrets [][]byte) (int, error) {
	if !usable(secrets) {
		return -1, errNoSecret
	}
	match, text := -1, []byte(value)
	for i, secret := range secrets {
		if same := sameText(text, secret); same && len(secret) > 0 && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return -1, errWrongToken
	}
	return match, nil
}

// sameText compares digests, which have one length: how long the secret is, or how much of it a
// guess has right, does not show in the time taken.
func sameText(a, b []byte) bool {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func headerSafe(secret []byte) error {
	if bytes.ContainsFunc(secret, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return errors.New("the secret has a line break or control character, which a header cannot carry")
	}
	if !bytes.Equal(secret, bytes.Trim(secret, " \t")) {
		return errors.New("the secret begins or ends with a space, which a header cannot carry")
	}
	return nil
}
