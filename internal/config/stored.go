package config

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Stored is a part of the configuration that is kept elsewhere than in files, for several machines.
// Where there is one, the main file has none of its keys.
type Stored struct {
	Name string // as problems call it
	Data []byte
	Keys []string // that it may have
}

// join adds the keys of a stored part to those of the main file. It is false when there is nothing
// to go on with.
func (l *loader) join(root Node, s *Stored) bool {
	before := len(l.digest)
	y := l.parse(s.Name, s.Data, false)
	l.digest = l.digest[:before] // File.Digest names it by its content alone
	if y == nil {
		return false
	}
	doc := Node{y, l}
	var joined []*yaml.Node
	for _, e := range doc.Entries() {
		own := root.Find(e.Key.Value)
		switch {
		case !slices.Contains(s.Keys, e.Key.Value):
			l.d.Errorf(e.Key, "%s stays in the file of each node: the store has %s", e.Key.Value, strings.Join(s.Keys, ", "))
		case !own.IsZero():
			l.d.Errorf(root.Key(e.Key.Value), "%s comes from the store", e.Key.Value).Hint("take it out of this file, and push it instead")
		default:
			joined = append(joined, e.Key.node.y, e.Value.y)
		}
	}
	l.refuseLiterals(doc, "", false)
	root.y.Content = append(root.y.Content, joined...)
	return true
}

// refuseLiterals finds secrets that are written out, as far as their keys tell. The names of headers tell more
// than keys of the language do.
func (l *loader) refuseLiterals(n Node, key string, header bool) {
	switch n.Kind() {
	case KindScalar:
		if isSecretKey(key) && literal(n.y.Value) || header && CarriesCredential(key) && !strings.Contains(n.y.Value, "${") {
			n.hide()
			l.hide(n.y.Value)
			l.d.Errorf(n, "%s is written out here, and whoever can read the database could read it", key).
				Hint("%s: ${NAME}, ${file:/path} or ${credential:name}, which each node resolves itself", key)
		}
	case KindList:
		for _, child := range n.List() {
			l.refuseLiterals(child, key, header)
		}
	case KindMap:
		for _, e := range n.Entries() {
			l.refuseLiterals(e.Value, e.Key.Value, key == "headers")
		}
	}
}

// isSecretKey reports whether the values of a key are secrets: those of the language, and headers
// that carry one.
func isSecretKey(key string) bool {
	switch strings.ToLower(key) {
	case "secret", "token", "authorization", "proxy-authorization", "cookie", "x-api-key", "api-key":
		return true
	}
	return false
}

var credentialHeader = regexp.MustCompile(`(?i)auth($|[^o]|o[^r]|ori[sz])|cookie|token|secret|password|api-?key`)

// CarriesCredential reports whether a header of this name carries a credential, as far as names tell:
// Authorization, Cookie, X-Api-Key, X-Gitlab-Token and their like, not X-Author.
func CarriesCredential(header string) bool { return credentialHeader.MatchString(header) }

// literal reports whether some of a secret is written out: it has no reference, or one with a default.
func literal(value string) bool {
	if value == "" {
		return false
	}
	at := strings.Index(value, "${")
	return at < 0 || strings.HasPrefix(value[at:], "${{") || strings.Contains(value, ":-")
}

// storedDigest names a stored part by its content.
func storedDigest(s *Stored) string {
	sum := sha256.Sum256(s.Data)
	return hex.EncodeToString(sum[:6])
}
