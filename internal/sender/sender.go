// Package sender speaks to the providers' own APIs: it registers a hook there, and asks for the
// deliveries that did not arrive. One file per provider says what its API is like; sender.go is
// what they share, client.go the HTTP that they have in common.
//
// A token goes to the API that it is for and nowhere else: not along a redirect, not into an
// error, a log or a record.
package sender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Kind is one provider with an API that can be spoken to.
type Kind struct {
	Name     string   // of its presets and of the command: github
	Presets  []string // the names that a hook's provider has
	Title    string   // as the provider writes itself
	URL      string   // of its API, where api.url does not say otherwise; "" when there is no usual one
	TokenEnv string   // the environment variable that people have the token in
	Target   string   // what the hooks belong to: "OWNER/REPO"; "" when the account is meant
	Needs    string   // what a token must be allowed to do, and where to make one
	Pages    string   // the documentation that its file is written after
	// Deaf says that the API has no list of what was sent, so that nothing can be caught up.
	Deaf bool
	// Apps says that an App can be spoken as, in the place of a token.
	Apps bool

	// sign puts the token into a request; open makes the API of one target.
	sign func(r *http.Request, token string)
	open func(c *client, target string) (API, error)
}

// API is one target (a repository, a project, an account) at a provider.
type API interface {
	// Hooks lists the hooks that are registered, all of them.
	Hooks(ctx context.Context) ([]Registered, error)
	// Create and Update return the hook as it is afterwards. An Update sets the secret too, except
	// where the provider makes it itself.
	Create(ctx context.Context, w Wanted) (Registered, error)
	Update(ctx context.Context, id string, w Wanted) (Registered, error)
	Remove(ctx context.Context, id string) error
	// Events returns what events are called at the provider; unknown are those it has no word for.
	Events(names []string) (words, unknown []string)
}

// Registered is a hook as the provider has it. It never has the secret, but where Made.
type Registered struct {
	ID     string   `json:"id"`
	URL    string   `json:"url"`
	Events []string `json:"events"` // sorted; "*" is every event
	Active bool     `json:"active"`
	Last   string   `json:"last,omitempty"` // what became of the last delivery, where the provider says
	// Made is the secret that the provider made at Create. It is shown to nobody.
	Made string `json:"-"`
	// Only says that the target has this one hook, whatever its address, whose events its API does not
	// change: a GitHub App's own.
	Only bool `json:"-"`

	plain bool // its bodies are not JSON, or its certificate is not checked
}

// Wanted is a hook as it is to be.
type Wanted struct {
	URL    string
	Events []string // in the provider's words, sorted
	Secret string   // "" where the provider makes it
}

// Same reports whether a registered hook is as wanted, as far as the provider tells.
func (w Wanted) Same(r Registered) bool {
	return r.Active && !r.plain && SameURL(r.URL, w.URL) && (r.Only || slices.Equal(r.Events, w.Events))
}

// Missing are the events that a registered hook does not get, and that its API cannot add.
func (w Wanted) Missing(r Registered) (events []string) {
	for _, e := range w.Events {
		if r.Only && e != "*" && !slices.Contains(r.Events, e) {
			events = append(events, e)
		}
	}
	return events
}

// MakesSecret reports whether the provider makes a hook's secret and does not take one.
func (k *Kind) MakesSecret() bool { return k.Name == "stripe" }

// Options say which API, and as whom.
type Options struct {
	URL    string // "" is the kind's own
	Token  string
	App    *App // in the place of a token, where the kind has Apps
	Target string
	Hide   []string // further values that no error may hold: the hook's secrets
	// Patience is the longest wait that is taken for a rate limit or a failing server; beyond it
	// the error is a *BusyError. 0 is DefaultPatience.
	Patience time.Duration
}

// kinds is filled by the files of the providers.
var kinds = map[string]*Kind{}

func register(k *Kind) { kinds[k.Name] = k }

// Kinds lists the providers with an API, by name.
func Kinds() []*Kind {
	var all []*Kind
	for _, k := range kinds {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b *Kind) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Of returns the kind of a hook's provider.
func Of(preset string) (*Kind, bool) {
	for _, k := range kinds {
		if slices.Contains(k.Presets, preset) {
			return k, true
		}
	}
	return nil, false
}

// ErrTarget says that a target is not of the form that its kind has.
var ErrTarget = errors.New("is not of the form")

// Open makes the API of a target. It sends nothing yet. The error says what is wrong with the
// options, never what the token is.
func (k *Kind) Open(o Options) (API, error) {
	if o.URL == "" {
		o.URL = k.URL
	}
	if err := CheckURL(o.URL); err != nil {
		return nil, err
	}
	if o.Token == "" && (o.App == nil || !k.Apps) {
		return nil, fmt.Errorf("there is no token for %s", k.Title)
	}
	c := newClient(k, o)
	return k.open(c, o.Target)
}

// CheckURL says what is wrong with the address of an API: a token goes over TLS, or stays on this
// machine.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("an API's url is https://host/path, without user, query or fragment")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("an API's url begins with https://: the token would be readable on its way")
}

// SameURL reports whether two addresses of a hook are the same one: scheme and host in any case,
// a port that is the scheme's own or not written.
func SameURL(a, b string) bool {
	x, y := normal(a), normal(b)
	return x != "" && x == y
}

func normal(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

// ownerRepo checks a target of the form OWNER/REPO, or a single name where one will do.
func ownerRepo(target string, single bool) ([]string, error) {
	parts := strings.Split(target, "/")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || strings.ContainsAny(p, " \t\r\n?#%\\") {
			parts = nil
			break
		}
	}
	if len(parts) == 2 || single && len(parts) == 1 {
		return parts, nil
	}
	form := "OWNER/REPO"
	if single {
		form = "OWNER/REPO, or an organization's name"
	}
	return nil, wrongTarget(target, form)
}

func wrongTarget(target, form string) error { return fmt.Errorf("%q %w %s", target, ErrTarget, form) }

func sorted(events []string) []string {
	events = slices.Clone(events)
	slices.Sort(events)
	return slices.Compact(events)
}

// number is an id that the API writes as a number.
type number = json.Number
