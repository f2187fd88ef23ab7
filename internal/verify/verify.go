// Package verify decides whether a request is genuine, one file per scheme. A Verifier looks at
// the raw request only: the body's bytes as they arrived, the headers, the query. A scheme whose
// signature or token is a field of the body is the one exception that parses before it verifies,
// and only that field is looked at.
//
// The rules every scheme keeps:
//
//   - What is missing, sent twice, too long or unreadable is refused. Nothing that is left out
//     skips the check.
//   - Secrets and signatures are compared in constant time, and their length does not show.
//   - Every configured secret is tried, whichever matched. An empty secret never verifies.
//   - An error tells the operator what is wrong, and never holds a secret, the signature that
//     was expected, or what the sender wrote.
package verify

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// ErrOnlySender is why Sign cannot: only the sender has what it takes.
var ErrOnlySender = errors.New("only the sender can sign")

// OnlySender is ErrOnlySender in words that say why.
func OnlySender(why string) error { return onlySender(why) }

type onlySender string

func (s onlySender) Error() string        { return string(s) }
func (s onlySender) Is(target error) bool { return target == ErrOnlySender }

// Verifier checks requests by one scheme. After Check found no problem it is not changed any
// more, and is safe for concurrent use.
type Verifier interface {
	// Verify returns the position of the secret that matched: the first one when several do, -1
	// when the scheme has no secrets. The error says why the request is refused; it is for the
	// log and explain, never for the sender.
	Verify(r *request.Request, secrets [][]byte, now time.Time) (secret int, err error)

	// Sign makes r verify, as the real sender would, and overwrites a signature that is there.
	// The error says what makes that impossible, such as a public key in place of a secret.
	Sign(r *request.Request, secret []byte, now time.Time) error

	// Withhold names the headers that carry a signature or secret: never stored, logged or shown.
	Withhold() []string

	// NeedsSecret reports whether a hook without a secret is incomplete.
	NeedsSecret() bool
}

// Problem is one thing wrong with a verifier's settings. Path leads to the key of the verify:
// mapping it is about; it is empty when it is about the mapping as a whole.
type Problem struct {
	Path    []string
	Message string
	Hints   []string
	Warning bool // it works, and is hardly meant
}

// Checker is a Verifier whose settings can contradict themselves. Check is called once, after
// the settings were decoded into it.
type Checker interface {
	Check() []Problem
}

// SecretChecker is a Verifier that can tell a secret it could never use. The error holds nothing
// of the secret.
type SecretChecker interface {
	CheckSecret(secret []byte) error
}

// Placer is a Verifier whose secret may come in the query or in a field of the body: it is taken
// out before anything is stored, logged or shown.
type Placer interface {
	Places() (query, field string)
}

// TakeOut takes the value of a query parameter and of a field out of a request that was verified.
func TakeOut(r *request.Request, query, field string) {
	if query != "" {
		var kept []string
		for pair := range strings.SplitSeq(r.RawQuery, "&") {
			name, _, _ := strings.Cut(pair, "=")
			if name, err := url.QueryUnescape(name); err == nil && name == query {
				continue
			}
			kept = append(kept, pair)
		}
		r.Replace(strings.Join(kept, "&"), r.Body)
	}
	if field != "" {
		_ = SetField(r, field, "[withheld]") // it is there: it was just read
	}
}

// Confirmer is a Verifier of a sender whose check of the address wants a request in return.
type Confirmer interface {
	// Confirm does that for a verified request, if it is such a check and the settings allow it.
	Confirm(ctx context.Context, r *request.Request) (confirmed bool, err error)
}

// HeaderSigner is a Verifier of signatures, which cover headers by name or not at all.
type HeaderSigner interface {
	// SignedHeaders names the headers that the signature covers. Whoever has one signed request
	// can send it again with any other header changed.
	SignedHeaders() []string
}

// SecretTaker is a Verifier that needs no secret and can use one.
type SecretTaker interface {
	TakesSecret() bool
}

// Kind is one scheme.
type Kind struct {
	Name string          // as written after scheme:
	Doc  string          // what it checks and its keys, for people
	New  func() Verifier // a pointer to a struct with yaml tags, its defaults set
}

// schemes is filled by the files of the schemes, each in its init.
var schemes []Kind

func register(k Kind) { schemes = append(schemes, k) }

// Lookup finds a scheme by its name.
func Lookup(name string) (Kind, bool) {
	i := slices.IndexFunc(schemes, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return schemes[i], true
}

// Kinds lists every scheme, sorted by name.
func Kinds() []Kind {
	return slices.SortedFunc(slices.Values(schemes), func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
}

// The bounds of what a sender may write in one header, query parameter or field.
const (
	maxValue      = 4 << 10
	maxCandidates = 16
)

// ErrOnlyChecks is Sign's error for a secret that is the public half of a key; it is an ErrOnlySender.
var ErrOnlyChecks = OnlySender("a public key can check signatures, but not make them")

var (
	errMismatch = errors.New("signature does not match")
	errNoSecret = errors.New("no secret is configured")
)

// usable reports whether there is a secret to check with at all.
func usable(secrets [][]byte) bool {
	return slices.ContainsFunc(secrets, func(s []byte) bool { return len(s) > 0 })
}
