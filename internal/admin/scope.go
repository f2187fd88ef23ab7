package admin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
)

// Scope is what a token is for. Each scope has what the one before it has.
type Scope string

// The scopes.
const (
	ScopeRead  Scope = "read"  // list and show
	ScopeRun   Scope = "run"   // replay, retry, cancel, pause, explain
	ScopeAdmin Scope = "admin" // everything
)

// Scopes are all of them, the least first.
var Scopes = []Scope{ScopeRead, ScopeRun, ScopeAdmin}

// Has reports whether s has what needed is for. Neither may be anything but one of Scopes.
func (s Scope) Has(needed Scope) bool {
	least := slices.Index(Scopes, needed)
	return least >= 0 && slices.Index(Scopes, s) >= least
}

// Token is one that opens the API.
type Token struct {
	Name   string // in the audit log; "" is admin.token
	Secret []byte
	Scope  Scope
}

// who names a token's bearer.
func (t Token) who() string {
	if t.Name == "" {
		return "token"
	}
	return "token " + t.Name
}

// pass is a token as the gate keeps it.
type pass struct {
	visitor
	digest [sha256.Size]byte
}

// passes are the tokens of o.
func passes(o Options) (all []pass) {
	if len(o.Token) > 0 {
		all = append(all, pass{visitor{Token{}.who(), ScopeAdmin}, sha256.Sum256(o.Token)})
	}
	for _, t := range o.Tokens {
		all = append(all, pass{visitor{t.who(), t.Scope}, sha256.Sum256(t.Secret)})
	}
	return all
}

// visitor is who the gate let in, and what for.
type visitor struct {
	who   string
	scope Scope
}

type visitorKey struct{}

func (v visitor) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

// whoIs names who the gate let in, for the audit log.
func whoIs(r *http.Request) string {
	v, _ := r.Context().Value(visitorKey{}).(visitor)
	return v.who
}

// needs lets a request through whose sender has a scope.
func (a *api) needs(scope Scope, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, _ := r.Context().Value(visitorKey{}).(visitor)
		if !v.scope.Has(scope) {
			a.log.WarnContext(r.Context(), "admin request refused", "reason", "scope", "by", v.who, "path", r.URL.Path, "remote", r.RemoteAddr)
			refuse(w, http.StatusForbidden, fmt.Sprintf("this needs a token of scope %s, yours has %s", scope, v.scope))
			return
		}
		next.ServeHTTP(w, r)
	})
}
