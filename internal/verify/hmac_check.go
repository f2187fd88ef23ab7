package verify

import (
	"fmt"
	"slices"
	"strings"
)

// CheckSecret finds a secret that secret_encoding cannot read.
func (h *HMAC) CheckSecret(secret []byte) error {
	_, err := decodeSecret(secret, h.SecretEncoding)
	return err
}

// Check finds what is wrong with the settings.
func (h *HMAC) Check() []Problem {
	var hashes []string
	for _, k := range hashKinds {
		hashes = append(hashes, k.name)
	}
	problems := slices.Concat(
		h.check(),
		oneOf(h.Hash, hashes, "hash"),
		oneOf(h.Encoding, encodings, "encoding"),
		oneOf(h.SecretEncoding, secretEncodings, "secret_encoding"),
		checkTemplate(h.Signed, h.plain),
		h.Timestamp.check(h.SignatureKey != "", has(h.Signed, "timestamp")),
		h.checkReading(),
		h.checkSigned(),
	)
	if h.ID.Header != "" {
		problems = append(problems, checkHeaderName(h.ID.Header, "id", "header")...)
	}
	return problems
}

func (h *HMAC) checkReading() (problems []Problem) {
	add := func(key, message string, hints ...string) {
		problems = append(problems, Problem{Path: []string{key}, Message: message, Hints: hints})
	}
	if h.Prefix != nil && strings.ContainsFunc(*h.Prefix, func(c rune) bool { return c < ' ' || c > '~' }) {
		add("prefix", "prefix has a character that a header cannot carry")
	}
	if h.SignatureKey != "" {
		if !isToken(h.SignatureKey) {
			add("signature_key", fmt.Sprintf("%q is not a key such as v1", h.SignatureKey))
		}
		if h.SignatureKey == h.Timestamp.Key {
			add("signature_key", "the signature and the timestamp cannot have the same key")
		}
		if h.Prefix != nil {
			add("prefix", "prefix has no meaning beside signature_key")
		}
	}
	if h.Tolerance != nil {
		if err := checkTolerance(*h.Tolerance); err != nil {
			add("tolerance", err.Error())
		} else if !h.Timestamp.used() {
			add("tolerance", "tolerance has nothing to compare: there is no timestamp", "timestamp: {header: X-Timestamp}")
		}
	}
	return problems
}

func (h *HMAC) checkSigned() (problems []Problem) {
	add := func(message string, hints ...string) {
		problems = append(problems, Problem{Path: []string{"signed"}, Message: message, Hints: hints})
	}
	if has(h.Signed, "timestamp") && !h.Timestamp.used() {
		add("signed has {timestamp}, but nothing says where it is", "timestamp: {header: X-Timestamp}")
	}
	if has(h.Signed, "id") && h.ID.Header == "" {
		add("signed has {id}, but nothing says where it is", "id: {header: X-Id}")
	}
	warn := func(key, what string) {
		problems = append(problems, Problem{
			Path: []string{key}, Message: what + " is not signed: whoever has one signed request can send it again with another",
			Hints: []string{`signed: "{` + key + `}.{body}", if the sender signs it`}, Warning: true,
		})
	}
	if h.messages == nil && h.Timestamp.Header != "" && !has(h.Signed, "timestamp") && !has(h.Signed, "header:"+h.Timestamp.Header) {
		warn("timestamp", "the timestamp")
	}
	if h.messages == nil && h.ID.Header != "" && !has(h.Signed, "id") {
		warn("id", "the id")
	}
	if h.plain && !has(h.Signed, "secret") {
		add("signed has no {secret}: anyone could make the hash")
	}
	if h.Field != "" && has(h.Signed, "body") {
		add("a signature inside the body cannot sign {body}", `signed: "{field:a.b}"`)
	}
	if h.Query != "" && (has(h.Signed, "url") || has(h.Signed, "query")) {
		add("a signature inside the query cannot sign {url} or {query}", "sign {path} and {query:NAME}")
	}
	return problems
}
