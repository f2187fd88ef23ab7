package hook

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/sender"
)

// API is how the sender's own API is spoken to.
type API struct {
	Kind    *sender.Kind
	URL     string
	Targets []string // what the hook is registered for there; empty where the account is meant

	token config.Secret
	app   *sender.App
	isApp bool // also when app has a problem
}

// Authorized reports whether there is a token, or an App in its place.
func (a *API) Authorized() bool { return len(a.token.Reveal()) > 0 || a.isApp }

// Options are what the API of a target is opened with: they have the token, which is for the API alone.
func (h *Hook) Options(target string) sender.Options {
	return sender.Options{URL: h.API.URL, Token: string(h.API.token.Reveal()), App: h.API.app, Target: target, Hide: h.HiddenSecrets()}
}

type apiSpec struct {
	Token  config.Secret `yaml:"token" doc:"The token, best a reference: ${GITHUB_TOKEN}."`
	URL    config.Text   `yaml:"url" doc:"Where the API is, for an instance of your own." default:"the provider's"`
	App    config.Node   `yaml:"app" doc:"A GitHub App, in the place of a token."`
	Target []config.Text `yaml:"target" doc:"What the hook is registered for: OWNER/REPO, an organization, GROUP/PROJECT, groups/GROUP, apps/NAME; or a list."`
}

type appSpec struct {
	ID           config.Text   `yaml:"id,required" doc:"The App's id or client id, of its settings."`
	Key          config.Secret `yaml:"key,required" doc:"Its private key, as a reference: ${file:/etc/tenterhook/app.pem}."`
	Installation config.Text   `yaml:"installation" doc:"The number of an installation." default:"that on the target"`
}

// compileApp reads api.app.
func compileApp(api *API, node config.Node, d *config.Diagnostics) {
	if node.IsZero() {
		return
	}
	api.isApp = true
	var s appSpec
	if !node.Decode(&s, d) || s.ID.Value == "" || len(s.Key.Reveal()) == 0 {
		return
	}
	var err error
	switch {
	case !api.Kind.Apps:
		d.Errorf(node, "app is for GitHub: %s has no Apps", api.Kind.Title)
	case len(api.token.Reveal()) > 0:
		d.Errorf(node, "app and token contradict each other: the API is asked as one of them")
	case strings.Trim(s.Installation.Value, "0123456789") != "":
		d.Errorf(s.Installation, "installation is a number, found %q", s.Installation.Value).Hint("it is the end of its page's address; without it the one on api.target is looked up")
	default:
		if api.app, err = sender.NewApp(s.ID.Value, s.Installation.Value, s.Key.Reveal()); err != nil {
			d.Errorf(s.Key, "%s", err.Error()).Hint("key: ${file:/etc/tenterhook/app.pem}")
		}
	}
}

// compileAPI reads api:, which only senders have whose API is known.
func compileAPI(h *Hook, spec *hookSpec, d *config.Diagnostics) {
	if h.Provider == nil {
		if !spec.API.IsZero() {
			d.Errorf(spec.API, "api is for hooks with a provider whose API is known").Hint("one of: %s", join(withAPI()))
		}
		return
	}
	kind, ok := sender.Of(h.Provider.Name)
	if !ok {
		if !spec.API.IsZero() {
			d.Errorf(spec.API, "the API of %s is not known", h.Provider.Title).Hint("one of: %s", join(withAPI()))
		}
		return
	}
	h.API = &API{Kind: kind, URL: kind.URL}
	if spec.API.IsZero() {
		return
	}
	var s apiSpec
	if !spec.API.Decode(&s, d) {
		return
	}
	h.API.token = s.Token
	compileApp(h.API, s.App, d)
	if s.URL.Value != "" {
		if err := sender.CheckURL(s.URL.Value); err != nil {
			d.Errorf(s.URL, "%s", err.Error())
		}
		h.API.URL = s.URL.Value
	}
	for _, target := range s.Target {
		_, err := kind.Open(sender.Options{URL: "https://api.invalid", Token: "-", App: h.API.app, Target: target.Value})
		if errors.Is(err, sender.ErrTarget) {
			d.Errorf(target, "target %s", err.Error())
		}
		h.API.Targets = append(h.API.Targets, target.Value)
	}
}

// Catchup says how often the sender is asked for what did not arrive.
type Catchup struct {
	Every  time.Duration
	Within time.Duration // how far back, at most
	Poll   bool          // it is how deliveries come (pull: {poll: …}), and not for what went astray
}

type catchupSpec struct {
	Every  *time.Duration `yaml:"every" doc:"How often, at least 1m; and at the start." default:"5m"`
	Within *time.Duration `yaml:"within" doc:"How far back the start looks, never to before the daemon first listened." default:"3d"`
}

// CatchupWithin is how far back it is looked where nobody says: GitHub remembers so long.
const CatchupWithin = 3 * 24 * time.Hour

// compileCatchup reads catchup:, which wants to know everything that asking takes.
func compileCatchup(h *Hook, spec *hookSpec, c Context, d *config.Diagnostics) {
	if spec.Catchup.IsZero() {
		return
	}
	h.Catchup = &Catchup{Every: 5 * time.Minute, Within: CatchupWithin}
	s := catchupSpec{Every: &h.Catchup.Every, Within: &h.Catchup.Within}
	if spec.Catchup.Kind() != config.KindNull && !spec.Catchup.Decode(&s, d) {
		return
	}
	h.Catchup.Every, h.Catchup.Within = *s.Every, *s.Within
	if h.Catchup.Every < time.Minute {
		d.Errorf(spec.Catchup.Find("every"), "every is at least 1m")
	}
	if h.Catchup.Within <= 0 {
		d.Errorf(spec.Catchup.Find("within"), "within is longer than nothing")
	}
	switch {
	case h.API == nil || h.API.Kind.Deaf:
		d.Errorf(spec.Catchup, "catchup wants a sender whose API tells what it sent").Hint("one of: github, gitlab, stripe")
	case !h.API.Authorized():
		d.Errorf(spec.Catchup, "catchup wants api.token").Hint("api: {token: ${%s}}", h.API.Kind.TokenEnv)
	case len(h.API.Targets) == 0 && h.API.Kind.Target != "":
		d.Errorf(spec.Catchup, "catchup wants api.target: %s", h.API.Kind.Target).Hint("api: {target: acme/site}")
	case !c.Public:
		d.Errorf(spec.Catchup, "catchup wants server.public_url, by which the hook is known at its sender").Hint("server: {public_url: https://hooks.example.com}")
	case h.Dedupe.None:
		d.Errorf(spec.Catchup, "catchup and dedupe: none contradict each other: nobody would know what is missing")
	case h.Catchup.Within > h.Dedupe.Window:
		d.Errorf(spec.Catchup, "catchup looks back %s and dedupe.window remembers %s: what is forgotten would run again", h.Catchup.Within, h.Dedupe.Window)
	}
}

func withAPI() (names []string) {
	for _, k := range sender.Kinds() {
		names = append(names, k.Presets...)
	}
	return names
}

// Events returns the event types that the hook's rules need. everything names the rules that can
// want any: their condition does not compare event with written-out names, or they have none.
func (h *Hook) Events() (events, everything []string) {
	if h.Hold != nil {
		return nil, []string{"hold"} // the rules are elsewhere
	}
	for _, r := range h.Rules {
		needs, bounded := expression.Constants(r.Match, "event")
		if !bounded {
			everything = append(everything, r.Name)
			continue
		}
		events = append(events, needs...)
	}
	slices.Sort(events)
	return slices.Compact(events), everything
}

// SigningSecret is the secret that the sender is to sign with: the first, which is the new one
// while one is rotated. It is for the sender alone.
func (h *Hook) SigningSecret() string {
	if len(h.secrets) == 0 {
		return ""
	}
	return string(h.secrets[0])
}

// HiddenSecrets are all secrets of the hook, for who must not show them.
func (h *Hook) HiddenSecrets() (all []string) {
	for _, s := range h.secrets {
		all = append(all, string(s))
	}
	return all
}
