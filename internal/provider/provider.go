// Package provider knows the senders: one file per preset says how the sender signs, what it
// calls its deliveries and events, how it checks an address, and where to click. Presets are
// data and small pure functions; nothing here is parsed or believed before verify has passed.
//
// A new provider is one new file that registers itself, its samples in samples/, and its
// published vectors in testdata/vectors.json.
package provider

import (
	"cmp"
	"embed"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// Preset is one sender. Its functions are called for verified requests only, except Address.
type Preset struct {
	Name    string
	Aliases []string
	Title   string // as the sender writes itself
	Doc     string // what is checked, the key, the event
	Setup   string // where to click at the sender
	Source  string // where the facts are from

	// Verifier is fresh at each call, with its defaults set. A verify: mapping beside provider:
	// is decoded over it.
	Verifier func() verify.Verifier

	// NeedsVerify says that a hook has to say more in verify: than the preset can know.
	NeedsVerify bool

	// Key is the delivery key: what the sender repeats when it sends the same delivery again. It
	// is "" when the sender gave none, and nil when it never does: then the digest of the request
	// is the key. The error is a *request.DecodeError.
	Key func(*request.Request) (string, error)

	// Event is the event type, "" when there is none; nil when there never is. The error is a
	// *request.DecodeError.
	Event func(*request.Request) (string, error)

	// Handshake answers a check of the address that is itself verified. A nil function or answer:
	// it is a delivery.
	Handshake func(r *request.Request, secrets [][]byte) *Answer

	// Greeting answers a check of the address that nobody signs, before anything is verified: it
	// tells nothing but what the request itself, or knowledge of a secret, gives. A nil function
	// or answer: it is a delivery.
	Greeting func(r *request.Request, secrets [][]byte) *Answer

	// Methods are those the sender uses besides POST, to check the address.
	Methods []string

	// Accepted is what the sender insists on being told of a delivery that was taken; nil: the
	// standard answer will do.
	Accepted *Answer

	OnDuplicate job.OnDuplicate
	MaxBody     int64          // 0: the hook's own default
	Format      request.Format // "": by Content-Type

	// Git finds the common facts of a Git host's payload; nil for other senders.
	Git func(event string, payload any) Git
	// GitReads are the paths of names in a payload that Git looks at, and CommitReads those that its
	// Commits and ChangedFiles look at besides; what they do not name may be missing.
	GitReads, CommitReads []string

	// Samples are what send --sample posts. The first is the usual one.
	Samples []Sample

	// Address writes id and event where the sender writes them, in headers or in the body. What
	// is "" is left as it is. It is called before Verifier's Sign. nil: it writes neither.
	Address func(r *request.Request, id, event string)
}

// Answer is what a sender that checks the address is told.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Sample is a body as the sender writes it.
type Sample struct {
	Name, Event, ContentType string
	Body                     []byte
}

// presets is filled by the files of the presets, each in its init.
var presets []*Preset

func register(p *Preset) { presets = append(presets, p) }

// Lookup finds a preset by its name or an alias.
func Lookup(name string) (*Preset, bool) {
	i := slices.IndexFunc(presets, func(p *Preset) bool {
		return p.Name == name || slices.Contains(p.Aliases, name)
	})
	if i < 0 {
		return nil, false
	}
	return presets[i], true
}

// All lists the presets, sorted by name.
func All() []*Preset {
	return slices.SortedFunc(slices.Values(presets), func(a, b *Preset) int { return cmp.Compare(a.Name, b.Name) })
}

// Names lists every name a preset is found by, aliases too, sorted.
func Names() []string {
	var names []string
	for _, p := range presets {
		names = append(append(names, p.Name), p.Aliases...)
	}
	slices.Sort(names)
	return names
}

const (
	contentJSON = "application/json"
	contentForm = "application/x-www-form-urlencoded"

	// gitBody is GitHub's own bound of a payload; the other Git hosts have none that is lower.
	gitBody = 25 << 20
)

//go:embed samples/*.json samples/*.form
var samples embed.FS

// sample reads an embedded body. Which files there are is known when the program is built.
func sample(file string) []byte {
	body, err := samples.ReadFile("samples/" + file)
	if err != nil {
		panic(fmt.Sprintf("provider: %v", err))
	}
	return body
}

// signature is an HMAC-SHA256 as the big senders write it: one, in lower-case hex, after exactly
// this prefix.
func signature(prefix string, headers ...string) *verify.HMAC {
	h := verify.NewHMAC()
	h.Header, h.Prefix, h.Encoding, h.List = headers, &prefix, "hex-lower", false
	return h
}

// base64Signature is signature in padded base64.
func base64Signature(prefix string, headers ...string) *verify.HMAC {
	h := signature(prefix, headers...)
	h.Encoding = "base64"
	return h
}

// pairs is an HMAC-SHA256 in a header of pairs, one of which is the timestamp that is signed
// before the body.
func pairs(header, timestampKey, signatureKey, signed string) *verify.HMAC {
	h := verify.NewHMAC()
	h.Header, h.Encoding = []string{header}, "hex-lower"
	h.SignatureKey, h.Timestamp.Key, h.Signed = signatureKey, timestampKey, signed
	return h
}

// adjusted changes a verifier's settings.
func adjusted(h *verify.HMAC, change func(*verify.HMAC)) *verify.HMAC {
	change(h)
	return h
}

// stamped adds a timestamp's header, and what is signed with it.
func stamped(h *verify.HMAC, header, unit string, tolerance time.Duration, signed string) *verify.HMAC {
	h.Timestamp.Header, h.Timestamp.Unit, h.Timestamp.Tolerance, h.Signed = header, unit, tolerance, signed
	return h
}

// hashed chooses another hash than SHA-256.
func hashed(h *verify.HMAC, hash string) *verify.HMAC {
	h.Hash = hash
	return h
}

// listed lets the header list several signatures.
func listed(h *verify.HMAC) *verify.HMAC {
	h.List = true
	return h
}

// tokenIn is a secret that is sent as it is.
func tokenIn(header string) *verify.Token {
	return &verify.Token{Source: verify.Source{Header: []string{header}}}
}

// place writes a value into a request that is about to be sent.
type place func(r *request.Request, value string)

func inHeader(names ...string) place {
	return func(r *request.Request, value string) { setHeaders(r, value, names...) }
}

func inField(path string) place {
	return func(r *request.Request, value string) { setField(r, path, value) }
}

func nowhere(*request.Request, string) {}

// address is an Address that writes id and event each into its place.
func address(id, event place) func(r *request.Request, i, e string) {
	return func(r *request.Request, i, e string) {
		event(r, e)
		id(r, i)
	}
}

// plainText is an answer that no browser reads as anything else.
func plainText(text string) *Answer {
	return &Answer{
		Status: http.StatusOK,
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}},
		Body:   []byte(text),
	}
}

// jsonAnswer is an answer of one JSON value.
func jsonAnswer(body string) *Answer {
	return &Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {contentJSON}}, Body: []byte(body)}
}

// echo sends a challenge back, if it is one.
func echo(challenge string) *Answer {
	if challenge == "" || len(challenge) > maxChallenge {
		return nil
	}
	return plainText(challenge)
}

// header is the first of the headers that is there, or "".
func header(r *request.Request, names ...string) string {
	for _, name := range names {
		if value, _, _ := r.HeaderValue(name); value != "" {
			return value
		}
	}
	return ""
}

// fromHeader is a Key or Event that is the first of the headers that is there.
func fromHeader(names ...string) func(*request.Request) (string, error) {
	return func(r *request.Request) (string, error) { return header(r, names...), nil }
}

// fromPayload is a Key or Event that is the first text found at one of the paths.
func fromPayload(paths ...string) func(*request.Request) (string, error) {
	return func(r *request.Request) (string, error) {
		payload, err := r.Payload()
		if err != nil {
			return "", err
		}
		for _, path := range paths {
			if value := text(payload, path); value != "" {
				return value, nil
			}
		}
		return "", nil
	}
}

// setHeaders sets headers to a value that is not "".
func setHeaders(r *request.Request, value string, names ...string) {
	if value == "" {
		return
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for _, name := range names {
		r.Header.Set(name, value)
	}
}

// setField sets a field of the body to a value that is not "". A body that has no fields stays
// as it is: it is what the person who sends wanted.
func setField(r *request.Request, path, value string) {
	if value != "" {
		_ = verify.SetField(r, path, value)
	}
}
