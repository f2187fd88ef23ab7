package verify

import (
	"cmp"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // as above
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // senders that know nothing better; as HMAC it is not broken
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func init() {
	register(Kind{
		Name: "hmac",
		Doc: `A keyed hash of the body, and of more if the sender says so.
Keys: one of header (a name, or a list tried in order), query and field; hash (sha256; md5, sha1,
sha384, sha512); encoding (hex, hex-lower, base64, base64url); prefix ("sha256="; when it is not given, the
hash's name and = may stand there); signed ("{body}"; placeholders {body} {timestamp} {id} {method}
{url} {path} {query} {form} {body_sha256} {header:NAME} {query:NAME} {field:a.b}); timestamp (header,
key or field, unit s, ms, rfc3339 or http-date, tolerance 5m); tolerance (short for the timestamp's); id (header); signature_key (v1 in a header of
pairs such as t=…,v1=…); list (true: several signatures may be listed, any may match);
secret_encoding (utf8, hex, base64).`,
		New: func() Verifier { return NewHMAC() },
	})
	register(Kind{
		Name: "digest",
		Doc: `A plain hash of the secret and of what the sender signed, for senders that do not know HMAC.
Keys: those of hmac; signed has {secret} ("{secret}{body}").`,
		New: func() Verifier { return NewDigest() },
	})
}

// HMAC checks a keyed hash of what the sender signed.
//
// The header holds one signature, or several between commas or spaces, of which one must match:
// senders list two while a secret is rotated. With SignatureKey it holds pairs between commas or
// semicolons (t=1700000000,v1=…,v1=…): every pair of that key is a signature, the pair of
// Timestamp.Key is the timestamp, the others do not count.
type HMAC struct {
	Source

	Hash           string         `yaml:"hash" doc:"The hash." oneof:"md5 sha1 sha256 sha384 sha512"`
	Encoding       string         `yaml:"encoding" doc:"How the signature is written." oneof:"hex hex-lower base64 base64url"`
	Prefix         *string        `yaml:"prefix" doc:"In front of the signature; otherwise the hash's name and =, or nothing."`
	SignatureKey   string         `yaml:"signature_key" doc:"Key of the signature in a header of pairs: v1 of t=…,v1=…."`
	List           bool           `yaml:"list" doc:"Several signatures may be listed, any may match."`
	Signed         string         `yaml:"signed" doc:"What is signed, with {body}, {timestamp}, {id}, {method}, {url}, {path}, {query}, {header:NAME} …."`
	Timestamp      Timestamp      `yaml:"timestamp" doc:"Where the time of signing is."`
	Tolerance      *time.Duration `yaml:"tolerance" doc:"Short for the timestamp's."`
	ID             ID             `yaml:"id" doc:"Where the id is that is signed as {id}."`
	SecretEncoding string         `yaml:"secret_encoding" doc:"How the secret is written." oneof:"utf8 hex base64"`

	// Separator is between the pairs that Sign writes; "" is a comma. Both kinds are read.
	Separator string `yaml:"-"`

	withhold []string
	plain    bool // a hash of the content, which has the secret in it
	messages Messages
}

// Messages makes what a sender signed of a request whose timestamp and id are known. There are
// several when the sender may have seen the request's address in another form; any may match.
type Messages func(r *request.Request, timestamp, id string) ([][]byte, error)

// maxMessages bounds what is tried for each secret.
const maxMessages = 16

// Over replaces the template by a function, for what no template says.
func (h *HMAC) Over(m Messages) *HMAC {
	h.messages = m
	return h
}

// NewDigest is SHA-256 of secret and body in hex, with nowhere to look yet.
func NewDigest() *HMAC {
	h := NewHMAC()
	h.plain, h.Signed = true, "{secret}{body}"
	return h
}

// ID says which header holds the id that is signed as {id}.
type ID struct {
	Header string `yaml:"header" doc:"Header that holds the id."`
}

// NewHMAC is SHA-256 of the body in hex, with nowhere to look yet.
func NewHMAC() *HMAC {
	return &HMAC{
		Hash: "sha256", Encoding: hexAny, List: true, Signed: "{body}", SecretEncoding: "utf8",
		Timestamp: Timestamp{Tolerance: DefaultTolerance, Unit: seconds, Required: true},
	}
}

// AlsoWithhold names further headers that carry a signature by the same secret.
func (h *HMAC) AlsoWithhold(headers ...string) { h.withhold = append(h.withhold, headers...) }

type hashKind struct {
	name string
	size int
	new  func() hash.Hash
}

var hashKinds = []hashKind{
	{"md5", md5.Size, md5.New},
	{"sha1", sha1.Size, sha1.New},
	{"sha256", sha256.Size, sha256.New},
	{"sha384", sha512.Size384, sha512.New384},
	{"sha512", sha512.Size, sha512.New},
}

func (h *HMAC) hash() (hashKind, error) {
	i := slices.IndexFunc(hashKinds, func(k hashKind) bool { return k.name == h.Hash })
	if i < 0 {
		return hashKind{}, fmt.Errorf("hash %q is unknown", h.Hash)
	}
	return hashKinds[i], nil
}

// Verify compares every signature the sender listed with one of every secret's, and then the
// timestamp with now: "timestamp is off" is only ever said of a request with a right signature.
func (h *HMAC) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	if !usable(secrets) {
		return -1, errNoSecret
	}
	kind, err := h.hash()
	if err != nil {
		return -1, err
	}
	raw, place, err := h.value(r)
	if err != nil {
		return -1, err
	}
	sent := signatures{size: kind.size}
	stamp, err := h.read(raw, place, &sent)
	if err != nil {
		return -1, err
	}
	c, at, err := h.content(r, stamp, place)
	if err != nil {
		return -1, err
	}
	match, err := h.match(r, secrets, &sent, kind, c)
	if err != nil {
		return -1, err
	}
	if c.timestamp != "" {
		if err := h.Timestamp.fresh(at, now, h.tolerance()); err != nil {
			return -1, err
		}
	}
	return match, nil
}

// content collects what is signed besides the body.
func (h *HMAC) content(r *request.Request, stamp, place string) (*content, time.Time, error) {
	c := &content{template: h.Signed}
	var at time.Time
	var err error
	if h.Timestamp.used() {
		if c.timestamp, err = h.Timestamp.text(r, stamp, place); err != nil {
			return nil, at, err
		}
		if c.timestamp != "" {
			if at, err = h.Timestamp.moment(c.timestamp); err != nil {
				return nil, at, err
			}
		}
	}
	if h.ID.Header != "" {
		c.id, err = headerValue(r, h.ID.Header)
	}
	return c, at, err
}

func (h *HMAC) match(r *request.Request, secrets [][]byte, sent *signatures, kind hashKind, c *content) (int, error) {
	match := -1
	var messages [][]byte
	if h.messages != nil {
		made, err := h.messages(r, c.timestamp, c.id)
		if err != nil {
			return -1, err
		}
		messages = made[:min(len(made), maxMessages)]
	}
	for i, secret := range secrets {
		key, err := decodeSecret(secret, h.SecretEncoding)
		if err != nil {
			continue // refused at load; here it can only be one that never verifies
		}
		found, err := h.made(r, key, sent, kind, c, messages)
		if err != nil {
			return -1, err
		}
		if found && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return -1, errMismatch
	}
	return match, nil
}

// made reports whether one of the signatures sent was made with the key.
func (h *HMAC) made(r *request.Request, key []byte, sent *signatures, kind hashKind, c *content, messages [][]byte) (found bool, err error) {
	mac := h.hasher(kind, key, c)
	var buf [maxSize]byte
	if h.messages == nil {
		if err := c.write(mac, r); err != nil {
			return false, err
		}
		return sent.have(mac.Sum(buf[:0])), nil
	}
	for _, m := range messages {
		mac.Reset()
		_, _ = mac.Write(m)
		if sent.have(mac.Sum(buf[:0])) {
			found = true
		}
	}
	return found, nil
}

// hasher is what the content is written to. A plain hash gets the key with the content.
func (h *HMAC) hasher(kind hashKind, key []byte, c *content) hash.Hash {
	if h.plain {
		c.secret = key
		return kind.new()
	}
	return hmac.New(kind.new, key)
}

func (h *HMAC) tolerance() time.Duration {
	if h.Tolerance != nil {
		return *h.Tolerance
	}
	return h.Timestamp.Tolerance
}

// maxSize is the size of the largest hash.
const maxSize = sha512.Size

// signatures are what one request claims, decoded.
type signatures struct {
	size int // of each
	n    int
	sums [maxCandidates][maxSize]byte
}

// have compares all of them, whichever matched.
func (s *signatures) have(sum []byte) (found bool) {
	for i := range s.n {
		if hmac.Equal(s.sums[i][:s.size], sum) {
			found = true
		}
	}
	return found
}

// read decodes the listed signatures, leaving out those that cannot be any, and finds the
// timestamp among the pairs.
func (h *HMAC) read(raw, place string, sent *signatures) (stamp string, err error) {
	listed := 0
	take := func(text string) {
		if listed++; listed <= maxCandidates && unsign(sent.sums[sent.n][:sent.size], text, h.Encoding) {
			sent.n++
		}
	}
	if h.SignatureKey != "" {
		stamp, err = h.readPairs(raw, place, take)
	} else {
		h.readList(raw, take)
	}
	switch {
	case err != nil:
		return "", err
	case listed > maxCandidates:
		return "", fmt.Errorf("%s lists more than %d signatures", place, maxCandidates)
	case listed == 0 && h.SignatureKey != "":
		return "", fmt.Errorf("%s has no signature %s=", place, h.SignatureKey)
	case listed == 0 && h.Prefix != nil:
		return "", fmt.Errorf("%s does not begin with %s", place, *h.Prefix)
	case sent.n == 0:
		return "", fmt.Errorf("%s has no readable signature: expected %s", place, shape(sent.size, h.Encoding))
	}
	return stamp, nil
}

func (h *HMAC) readPairs(raw, place string, take func(string)) (stamp string, err error) {
	for pair := range strings.FieldsFuncSeq(raw, func(c rune) bool { return c == ',' || c == ';' }) {
		key, value, _ := strings.Cut(strings.Trim(pair, " "), "=")
		switch {
		case key == h.SignatureKey:
			take(value)
		case key == h.Timestamp.Key && stamp != "":
			return "", fmt.Errorf("%s has more than one timestamp %s=", place, key)
		case key == h.Timestamp.Key:
			stamp = value
		}
	}
	return stamp, nil
}

func (h *HMAC) readList(raw string, take func(string)) {
	if !h.List {
		h.readOne(raw, take)
		return
	}
	prefix := ""
	if h.Prefix != nil {
		prefix = *h.Prefix
	}
	between := func(c rune) bool { return (c == ',' || c == ' ') && !strings.ContainsRune(prefix, c) }
	for one := range strings.FieldsFuncSeq(raw, between) {
		h.readOne(one, take)
	}
}

func (h *HMAC) readOne(text string, take func(string)) {
	if h.Prefix == nil {
		take(strings.TrimPrefix(text, h.Hash+"="))
	} else if text, ok := strings.CutPrefix(text, *h.Prefix); ok {
		take(text)
	}
}

// Sign sets the timestamp, an id when the request has none, and the signature.
func (h *HMAC) Sign(r *request.Request, secret []byte, now time.Time) error {
	kind, err := h.hash()
	if err != nil {
		return err
	}
	key, err := decodeSecret(secret, h.SecretEncoding)
	if err != nil {
		return err
	}
	c := &content{template: h.Signed, timestamp: h.Timestamp.format(now)}
	if err := h.Timestamp.set(r, c.timestamp); err != nil {
		return err
	}
	if h.ID.Header != "" {
		if c.id = r.Header.Get(h.ID.Header); c.id == "" {
			c.id = "msg_" + rand.Text()
			setHeader(r, h.ID.Header, c.id)
		}
	}
	mac := h.hasher(kind, key, c)
	if h.messages == nil {
		if err := c.write(mac, r); err != nil {
			return err
		}
	} else {
		messages, err := h.messages(r, c.timestamp, c.id)
		if err != nil {
			return err
		}
		_, _ = mac.Write(messages[0])
	}
	return h.set(r, h.written(sign(mac.Sum(nil), h.Encoding), c.timestamp))
}

// written is the value with the signature in it.
func (h *HMAC) written(signature, stamp string) string {
	switch {
	case h.SignatureKey != "" && h.Timestamp.Key != "":
		return h.Timestamp.Key + "=" + stamp + cmp.Or(h.Separator, ",") + h.SignatureKey + "=" + signature
	case h.SignatureKey != "":
		return h.SignatureKey + "=" + signature
	case h.Prefix != nil:
		return *h.Prefix + signature
	}
	return signature
}

// Withhold names the headers of the signature. The timestamp and the id are no secrets.
func (h *HMAC) Withhold() []string { return slices.Concat(h.Header, h.withhold) }

// NeedsSecret is true.
func (*HMAC) NeedsSecret() bool { return true }

// SignedHeaders implements HeaderSigner.
func (h *HMAC) SignedHeaders() []string {
	names := signedHeaders(h.Signed)
	if has(h.Signed, "timestamp") && h.Timestamp.Header != "" {
		names = append(names, h.Timestamp.Header)
	}
	if has(h.Signed, "id") && h.ID.Header != "" {
		names = append(names, h.ID.Header)
	}
	return names
}
