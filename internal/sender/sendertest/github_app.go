package sendertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// AppID is the GitHub App "deployer", that is installed on the organization acme as installation 99.
const AppID = "4711"

// appKey is made once for all tests.
var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// AppKey is the App's private key, as GitHub gives it.
func AppKey() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(appKey())})
}

// githubApp is the App and what it has.
type githubApp struct {
	hook   Hook
	tokens map[string]time.Time // of the installation, until when
	issued int
	life   time.Duration // of a token
}

// App returns the App's webhook.
func (s *Server) App() (h Hook) {
	s.locked(func() { h = s.app.hook })
	return h
}

// SetApp gives the App its webhook, with the events that it is subscribed to.
func (s *Server) SetApp(h Hook) { s.locked(func() { s.app.hook = h }) }

// AppTokens returns how many tokens the App's installation was given.
func (s *Server) AppTokens() (n int) {
	s.locked(func() { n = s.app.issued })
	return n
}

// TokensLast sets how long the tokens last that are given from now on, and takes those back that were.
func (s *Server) TokensLast(d time.Duration) {
	s.locked(func() { s.app.life, s.app.tokens = d, nil })
}

// githubAuthorized says who may ask: an App where it is about the App, by a JWT, and elsewhere a
// token, or one of the App's installation.
func (s *Server) githubAuthorized(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/app") || strings.HasSuffix(r.URL.Path, "/installation") {
		return s.jwtIsGood(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	until, issued := s.app.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	return bearer(r) || issued && s.now().Before(until)
}

func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// jwtIsGood checks what docs.github.com says of an App's JWT: RS256, not of the future, at most ten
// minutes ahead.
func (s *Server) jwtIsGood(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || rsa.VerifyPKCS1v15(&appKey().PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return false
	}
	var head struct{ Alg string }
	var claims struct {
		Iss      string
		Iat, Exp int64
	}
	for i, into := range []any{&head, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return false
		}
	}
	now := s.now().Unix()
	return head.Alg == "RS256" && claims.Iss == AppID && claims.Iat <= now && claims.Exp > now && claims.Exp <= now+600
}

// githubApp serves docs.github.com/rest/apps.
func (s *Server) githubApp(mux *http.ServeMux) {
	s.app.life = time.Hour
	installation := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"id": 99, "app_id": 4711, "app_slug": "deployer", "account": map[string]string{"login": "acme"}})
	}
	mux.HandleFunc("GET /repos/acme/site/installation", installation)
	mux.HandleFunc("GET /orgs/acme/installation", installation)
	mux.HandleFunc("POST /app/installations/{id}/access_tokens", s.githubToken)
	mux.HandleFunc("GET /app", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"id": 4711, "slug": "deployer", "events": append([]string{}, s.app.hook.Events...), "installations_count": 1})
	})
	mux.HandleFunc("GET /app/hook/config", s.githubAppConfig)
	mux.HandleFunc("PATCH /app/hook/config", func(w http.ResponseWriter, r *http.Request) {
		body := readJSON(r)
		s.app.hook.URL, s.app.hook.Secret, s.app.hook.Plain = field(body, "url"), field(body, "secret"), field(body, "content_type") != "json"
		s.githubAppConfig(w, r)
	})
	mux.HandleFunc("GET /app/hook/deliveries", func(w http.ResponseWriter, r *http.Request) { s.githubSent(w, r, s.app.hook.ID) })
	mux.HandleFunc("GET /app/hook/deliveries/{delivery}", s.githubDelivery)
}

func (s *Server) githubAppConfig(w http.ResponseWriter, _ *http.Request) {
	kind := "json"
	if s.app.hook.Plain {
		kind = "form"
	}
	answer(w, http.StatusOK, map[string]string{"url": s.app.hook.URL, "content_type": kind, "insecure_ssl": "0", "secret": "********"})
}

func (s *Server) githubToken(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("id") != "99" {
		answer(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
		return
	}
	if asked := texts(readJSON(r)["repositories"]); len(asked) > 0 && !slices.Equal(asked, []string{"site"}) {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"message": "There is at least one repository that does not exist or is not accessible to the parent installation."})
		return
	}
	s.app.issued++
	token := fmt.Sprintf("ghs_installation%d", s.app.issued)
	if s.app.tokens == nil {
		s.app.tokens = map[string]time.Time{}
	}
	s.app.tokens[token] = s.now().Add(s.app.life)
	answer(w, http.StatusCreated, map[string]any{"token": token, "expires_at": s.app.tokens[token].UTC().Format(time.RFC3339), "repository_selection": "selected", "permissions": map[string]string{"repository_hooks": "write", "statuses": "write"}})
}
