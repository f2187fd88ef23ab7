package sender

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
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// App is a GitHub App, as which its API is spoken to in the place of a token: for what the App is
// installed on with a token of that installation, which lasts an hour and is renewed before its end,
// for the App itself with a JWT (docs.github.com/apps: Authenticating as a GitHub App installation;
// Generating a JSON Web Token). It is safe for concurrent use.
type App struct {
	id, installation string
	key              *rsa.PrivateKey

	mu     sync.Mutex
	tokens map[string]appToken // by target
}

// appToken is an installation's token.
type appToken struct {
	value string
	until time.Time // by GitHub's clock
}

// The times of an App's tokens.
const (
	// jwtBefore and jwtAfter are a JWT's life around now: GitHub advises the first, and takes ten minutes at most.
	jwtBefore = time.Minute
	jwtAfter  = 8 * time.Minute
	// renewBefore the end of an installation's token another one is asked for: longer than a request takes.
	renewBefore = 5 * time.Minute
)

// NewApp is an App by its id, or client id, and its private key in PEM, as GitHub gives it. The
// installation may be "": it is asked for then. The error says nothing of the key.
func NewApp(id, installation string, key []byte) (*App, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("an App's key is PEM, as GitHub gives it: -----BEGIN RSA PRIVATE KEY-----")
	}
	private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		other, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		ok := false
		if private, ok = other.(*rsa.PrivateKey); err != nil || !ok {
			return nil, fmt.Errorf("an App's key is a private RSA key, found %q", block.Type)
		}
	}
	return &App{id: id, installation: installation, key: private, tokens: map[string]appToken{}}, nil
}

// jwt says that its bearer is the App, by GitHub's clock.
func (a *App) jwt(now time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{"iss": a.id, "iat": now.Add(-jwtBefore).Unix(), "exp": now.Add(jwtAfter).Unix()})
	if err != nil {
		return "", err
	}
	part := base64.RawURLEncoding.EncodeToString
	text := part([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", errors.New("sign as an App: the key cannot be used")
	}
	return text + "." + part(signature), nil
}

// token is the installation's token for the target of a client, and whether it was kept from before.
func (a *App) token(ctx context.Context, c *client) (value string, kept bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.tokens[c.target]; ok && t.until.Sub(c.now()) > renewBefore {
		return t.value, true, nil
	}
	id := a.installation
	if id == "" {
		if id, err = a.installed(ctx, c); err != nil {
			return "", false, err
		}
	}
	var made struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	one := call{method: http.MethodPost, path: "/app/installations/" + url.PathEscape(id) + "/access_tokens", asApp: true, into: &made}
	if _, repo, ok := strings.Cut(c.target, "/"); ok {
		one.json = map[string]any{"repositories": []string{repo}} // it can do nothing elsewhere
	}
	if _, err := c.do(ctx, one); err != nil {
		return "", false, fmt.Errorf("get a token of the App's installation: %w", err)
	}
	if made.Token == "" {
		return "", false, fmt.Errorf("the answer of %s is %w: it has no token", c.kind.Title, ErrUnusable)
	}
	maps.DeleteFunc(a.tokens, func(_ string, t appToken) bool { return t.until.Before(c.now()) }) // of repositories nobody asks for any more
	a.tokens[c.target] = appToken{made.Token, made.ExpiresAt}
	return made.Token, false, nil
}

// installed finds the installation on a repository or an organization.
func (a *App) installed(ctx context.Context, c *client) (string, error) {
	path := "/orgs/" + url.PathEscape(c.target) + "/installation"
	if owner, repo, ok := strings.Cut(c.target, "/"); ok {
		path = "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(repo) + "/installation"
	}
	var found struct {
		ID number `json:"id"`
	}
	if _, err := c.do(ctx, call{method: http.MethodGet, path: path, asApp: true, into: &found}); err != nil {
		return "", fmt.Errorf("find where the App is installed: %w", err)
	}
	return found.ID.String(), nil
}

// forget drops a token that is not taken any more.
func (a *App) forget(target, value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tokens[target].value == value {
		delete(a.tokens, target)
	}
}
