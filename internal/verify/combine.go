package verify

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// Any passes a request that one of its verifiers passes.
type Any []Verifier

// Verify implements Verifier. The secret is the one that matched; the error is that of the
// first verifier.
func (a Any) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	var first error
	for _, v := range a {
		secret, err := v.Verify(r, secrets, now)
		if err == nil {
			return secret, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = errors.New("there is nothing to verify by")
	}
	return -1, first
}

// Sign signs by the first verifier that can.
func (a Any) Sign(r *request.Request, secret []byte, now time.Time) error {
	var first error
	for _, v := range a {
		err := v.Sign(r, secret, now)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// Withhold names what each of them withholds.
func (a Any) Withhold() []string { return withheld(a) }

// Places implements Placer.
func (a Any) Places() (query, field string) { return places(a) }

// NeedsSecret reports whether one of them does.
func (a Any) NeedsSecret() bool { return needsSecret(a) }

// CheckSecret finds a secret that none of them could use.
func (a Any) CheckSecret(secret []byte) error {
	var first error
	for _, v := range a {
		checker, ok := v.(SecretChecker)
		if !ok {
			return nil
		}
		err := checker.CheckSecret(secret)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// All passes a request that every one of its verifiers passes.
type All []Verifier

// Verify implements Verifier. The secret is that of the first verifier that has one.
func (a All) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	if len(a) == 0 {
		return -1, errors.New("there is nothing to verify by")
	}
	match := -1
	for _, v := range a {
		secret, err := v.Verify(r, secrets, now)
		if err != nil {
			return -1, err
		}
		if match < 0 {
			match = secret
		}
	}
	return match, nil
}

// Sign signs by every one of them.
func (a All) Sign(r *request.Request, secret []byte, now time.Time) error {
	for _, v := range a {
		if err := v.Sign(r, secret, now); err != nil {
			return err
		}
	}
	return nil
}

// Withhold names what each of them withholds.
func (a All) Withhold() []string { return withheld(a) }

// Places implements Placer.
func (a All) Places() (query, field string) { return places(a) }

// NeedsSecret reports whether one of them does.
func (a All) NeedsSecret() bool { return needsSecret(a) }

// Own is a verifier with secrets of its own: those of the hook are not its.
type Own struct {
	Verifier
	Secrets [][]byte
}

// Verify implements Verifier. The position is not the hook's: -1.
func (o Own) Verify(r *request.Request, _ [][]byte, now time.Time) (int, error) {
	_, err := o.Verifier.Verify(r, o.Secrets, now)
	return -1, err
}

// Sign signs with the first of its own.
func (o Own) Sign(r *request.Request, _ []byte, now time.Time) error {
	if len(o.Secrets) == 0 {
		return errNoSecret
	}
	return o.Verifier.Sign(r, o.Secrets[0], now)
}

// NeedsSecret is false: it has them.
func (Own) NeedsSecret() bool { return false }

// places are those of the first that has any.
func places(of []Verifier) (query, field string) {
	for _, v := range of {
		if own, ok := v.(Own); ok {
			v = own.Verifier
		}
		if p, ok := v.(Placer); ok {
			q, f := p.Places()
			query, field = cmp.Or(query, q), cmp.Or(field, f)
		}
	}
	return query, field
}

func withheld(of []Verifier) []string {
	var names []string
	for _, v := range of {
		names = append(names, v.Withhold()...)
	}
	return names
}

func needsSecret(of []Verifier) bool {
	return slices.ContainsFunc(of, func(v Verifier) bool { return v.NeedsSecret() })
}
