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

	// Key is the delivery key: what the sender repeats when it sends the same delivery again. It
	// is "" when the sender gave none. The error is a *request.DecodeError.
	Key func(*request.Request) (string, error)

	// Event is the event type, "" when there is none. The error is a *request.DecodeError.
	Event func(*request.Request) (string, error)

	// Handshake answers a check of the address. A nil function or answer: it is a delivery.
	Handshake func(*request.Request) *Answer

	OnDuplicate job.OnDuplicate
	MaxBody     int64          // 0: the hook's own default
	Format      request.Format // "": by Content-Type

	// Git finds the common facts of a Git host's payload; nil for other senders.
	Git func(event string, payload any) Git

	// Samples are what send --sample posts. The first is the usual one.
	Samples []Sample

	// Address writes id and event where the sender writes them, in headers or in the body. What
	// is "" is left as it is. It is called before Verifier's Sign.
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
