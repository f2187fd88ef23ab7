// Package hook turns the hooks of a configuration into one compiled, immutable Set, and
// answers with it: which hook a path belongs to, whether a request is genuine, what it is
// called, which rules want it, and what a job of a rule runs. Nothing hangs off a Set: no
// goroutines, no files, so replacing one needs no clean-up, and a request or job in flight
// keeps the Set it started with.
package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// Set is every hook of one configuration, compiled. It is immutable and safe for concurrent use.
type Set struct {
	digest string
	hooks  []*Hook
	byName map[string]*Hook
	routes routes
}

// Digest identifies the configuration the set was made from.
func (s *Set) Digest() string { return s.digest }

// Hooks returns the hooks in file order. The slice is the set's own: do not change it.
func (s *Set) Hooks() []*Hook { return s.hooks }

// Hook returns the hook of that name, or nil.
func (s *Set) Hook(name string) *Hook { return s.byName[name] }

// Rule returns the rule of that name, or nil when the configuration has none (any more).
func (s *Set) Rule(hook, rule string) *Rule {
	h := s.byName[hook]
	if h == nil {
		return nil
	}
	for _, r := range h.Rules {
		if r.Name == rule {
			return r
		}
	}
	return h.Expect.rule(rule)
}

// Lookup finds the hook of a decoded request path and the path's parameters. Paths match
// exactly: no trailing slash, case or dot folding. A hook with enabled: false is not found.
func (s *Set) Lookup(path string) (*Hook, map[string]string) {
	return s.routes.lookup(path, "")
}

// Route is Lookup of a path as it was sent, too: a slash that is escaped in raw is part of a
// parameter, and divides nothing. raw may be "".
func (s *Set) Route(path, raw string) (*Hook, map[string]string) {
	return s.routes.lookup(path, raw)
}

// RouteStored is Route of a delivery that was taken in before.
func (s *Set) RouteStored(d *job.Delivery) (*Hook, map[string]string) {
	return s.Route(d.Path, rawPath(d.Path, d.Params))
}

// Hook is one declared path with its verification and rules.
type Hook struct {
	Name     string
	Config   string // digest of the configuration it belongs to
	Path     string
	Provider *provider.Preset // nil for a hook with verify only
	Scheme   string           // name of what verifies: the preset's or the scheme's name
	Methods  []string
	Format   request.Format
	MaxBody  int64
	Enabled  bool
	Hide     bool // failed verification answers like an unknown path
	Open     bool // verify: none
	Rate     *Rate
	Respond  Respond
	Dedupe   Dedupe
	API      *API     // nil for a sender whose API is not known
	Catchup  *Catchup // nil: only when somebody asks
	Pull     *Pull    // nil: deliveries only arrive
	Hold     *Hold    // nil: they are not held for others
	Rules    []*Rule
	Expect   *Expect // nil: nothing is expected

	verifier verify.Verifier
	secrets  [][]byte
	allowIPs []netip.Prefix
	lets     *expression.Lets
	wanted   *request.Fields  // what Plan reads of a payload; nil is all
	scope    expression.Scope // of expressions that are tried on it
	withhold []string
	secret   *strings.Replacer // takes values that are never shown out of a text
	longest  int               // of those values, in bytes
}

// shown is a text without what is never shown.
func (h *Hook) shown(s string) string {
	if h.secret == nil {
		return s
	}
	return h.secret.Replace(s)
}

// neverShown makes the replacer of values, as they are and as they are quoted, and says how long
// the longest is: a longer one first, since it may hold another.
func neverShown(values []string) (hide *strings.Replacer, longest int) {
	if len(values) == 0 {
		return nil, 0
	}
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, v := range sorted {
		forms := []string{v}
		if quoted := strconv.Quote(v); quoted[1:len(quoted)-1] != v {
			forms = append(forms, quoted[1:len(quoted)-1])
		}
		if quoted := (expression.Value{Value: v}).JSON(len(v), nil, 0); string(quoted[1:len(quoted)-1]) != v {
			forms = append(forms, string(quoted[1:len(quoted)-1]))
		}
		for _, form := range forms {
			pairs, longest = append(pairs, form, "[redacted]"), max(longest, len(form))
		}
	}
	return strings.NewReplacer(pairs...), longest
}

// Rate bounds requests per sender address.
type Rate struct {
	Limit int
	Per   time.Duration
}

// Dedupe says how a delivery is told from another.
type Dedupe struct {
	None        bool
	Window      time.Duration
	OnDuplicate job.OnDuplicate
	key         *expression.Template // nil: the preset's, then the digest
}

// Rule is one match with one action.
type Rule struct {
	Name        string
	Hook        *Hook
	Action      action.Action
	Retry       job.RetryPolicy
	OnInterrupt string // fail or retry
	Concurrency *Concurrency
	Reports     []*Report // what the sender is told of its jobs
	On          On
	Match       string // as written, for people; "" is always

	match      *expression.Program // nil: always
	shownMatch string              // what is kept of it with each delivery

	controls                                                     job.Controls
	onceKey, sequenceKey, rateLimitKey, debounceKey, throttleKey *expression.Template // nil: one for the rule
	sequenceBy, priority                                         *expression.Program
	after                                                        map[string][]FollowUp // by on_success, on_failure, on_cancel
}

// Concurrency bounds how many jobs of one key run at once.
type Concurrency struct {
	Limit      int
	MaxPending int
	Overflow   job.Overflow
	key        *expression.Template // nil: one lane for the rule
}

// Methods and secrets.

// AllowsMethod reports whether the hook takes requests of this method.
func (h *Hook) AllowsMethod(method string) bool { return slices.Contains(h.Methods, method) }

// AllowsIP reports whether the hook takes requests of this address (allow_ips).
func (h *Hook) AllowsIP(ip netip.Addr) bool {
	if len(h.allowIPs) == 0 {
		return true
	}
	ip = ip.Unmap()
	return slices.ContainsFunc(h.allowIPs, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Verify checks the raw request. It returns the position of the secret that matched (-1 when
// the scheme has none). The error is for the log and explain, never for the sender.
func (h *Hook) Verify(r *request.Request, now time.Time) (secret int, err error) {
	return h.verifier.Verify(r, h.secrets, now)
}

// Sign makes r verify, as the real sender would, with the hook's first secret.
func (h *Hook) Sign(r *request.Request, now time.Time) error {
	var secret []byte
	if len(h.secrets) > 0 {
		secret = h.secrets[0]
	}
	if err := h.verifier.Sign(r, secret, now); err != nil {
		return fmt.Errorf("sign for hook %q: %w", h.Name, err)
	}
	return nil
}

// Withhold names the headers that are neither kept nor shown to expressions: they carry a
// signature, a secret or a session.
func (h *Hook) Withhold() []string { return h.withhold }

// WantsCertificate reports whether the hook is verified by the sender's TLS certificate.
func (h *Hook) WantsCertificate() bool { return verify.WantsCertificate(h.verifier) }

// SecretCount returns how many secrets are configured.
func (h *Hook) SecretCount() int { return len(h.secrets) }

// alwaysWithheld are credentials whatever the scheme is.
var alwaysWithheld = []string{"Authorization", "Proxy-Authorization", "Cookie"}

// Identity is what a verified request is called.
type Identity struct {
	Key   string
	Event string
}

// Identify finds the delivery key and the event type of a verified request. The error is a
// *request.DecodeError when the key or the event is in a body that cannot be read, and an
// evaluation error when the hook's own key expression fails.
func (h *Hook) Identify(r *request.Request) (Identity, error) {
	var id Identity
	if h.Provider != nil && h.Provider.Event != nil {
		event, err := h.Provider.Event(r)
		if err != nil {
			return id, fmt.Errorf("find the event type: %w", err)
		}
		id.Event = event
	}
	if h.Provider == nil {
		kind, _, err := cloudEvent(r)
		if err != nil {
			return id, fmt.Errorf("find the event type: %w", err)
		}
		id.Event = kind
	}
	key, err := h.deliveryKey(r, id.Event)
	if err != nil {
		return id, fmt.Errorf("find the delivery key: %w", err)
	}
	id.Key = key
	if len(id.Event) > maxEvent {
		return id, fmt.Errorf("the event type is longer than %d bytes", maxEvent)
	}
	return id, nil
}

// The bounds of what a sender calls its events and deliveries.
const (
	maxEvent = 256
	maxKey   = 1 << 10
)

// chosenKey is a key that the sender or the hook chose: short, and apart from the digests.
func chosenKey(key string) string {
	switch {
	case len(key) > maxKey:
		sum := sha256.Sum256([]byte(key))
		return "long:" + hex.EncodeToString(sum[:])
	case strings.HasPrefix(key, digestPrefix), strings.HasPrefix(key, expectPrefix):
		return "key:" + key
	}
	return key
}

// digestPrefix begins the keys of requests that have none of their own.
const digestPrefix = "sha256:"

func (h *Hook) deliveryKey(r *request.Request, event string) (string, error) {
	if h.Dedupe.None {
		return "", nil
	}
	if h.Dedupe.key != nil {
		key, _, err := h.Dedupe.key.Text(h.input(r, Identity{Event: event}, ""))
		if err != nil || key != "" {
			return chosenKey(key), err
		}
	} else if h.Provider != nil && h.Provider.Key != nil {
		key, err := h.Provider.Key(r)
		if err != nil || key != "" {
			return chosenKey(key), err
		}
	} else if h.Provider == nil {
		_, key, err := cloudEvent(r)
		if err != nil || key != "" {
			return chosenKey(key), err
		}
	}
	return contentKey(r), nil
}

// contentKey names a request by its content: the SHA-256 of method, path, query and body, each
// with its length so that no two requests can run together into one.
func contentKey(r *request.Request) string {
	sum := sha256.New()
	for _, part := range []string{r.Method, r.Path, r.RawQuery} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	sum.Write(r.Body)
	return digestPrefix + hex.EncodeToString(sum.Sum(nil))
}

// input is what expressions of the hook see of a request. The withheld headers were taken out
// by the caller.
func (h *Hook) input(r *request.Request, id Identity, delivery string) *expression.Input {
	in := &expression.Input{
		Request:     r,
		Hook:        h.Name,
		Event:       id.Event,
		DeliveryID:  delivery,
		DeliveryKey: id.Key,
		ReceivedAt:  r.ReceivedAt,
		Now:         r.ReceivedAt,
		Lets:        h.lets,
	}
	if h.Provider != nil && h.Provider.Git != nil {
		in.Git = func() expression.GitFacts {
			payload, err := r.Part(in.Wanted)
			if err != nil {
				return expression.GitFacts{}
			}
			g := h.Provider.Git(id.Event, payload)
			return expression.GitFacts{Branch: g.Branch, Tag: g.Tag, Repo: g.Repo, SHA: g.SHA, Actor: g.Actor, ChangedFiles: g.ChangedFiles, Commits: g.Commits}
		}
	}
	return in
}

// Greet answers a sender's check of the address that nobody signs (Meta's hub.challenge), or
// returns nil. It is called before Verify.
func (h *Hook) Greet(r *request.Request) *provider.Answer {
	if h.Provider == nil || h.Provider.Greeting == nil {
		return nil
	}
	return h.Provider.Greeting(r, h.secrets)
}

// Confirm does what a verified check of the address asks for, if it is one and the hook allows it.
func (h *Hook) Confirm(ctx context.Context, r *request.Request) (confirmed bool, err error) {
	c, ok := h.verifier.(verify.Confirmer)
	if !ok {
		return false, nil
	}
	return c.Confirm(ctx, r)
}

// Handshake answers a sender's check of the address (Slack's url_verification), or returns nil
// when the request is a delivery. It is called for verified requests only.
func (h *Hook) Handshake(r *request.Request) *provider.Answer {
	if h.Provider == nil || h.Provider.Handshake == nil {
		return nil
	}
	return h.Provider.Handshake(r, h.secrets)
}
