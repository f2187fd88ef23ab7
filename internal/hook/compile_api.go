package hook

import (
	"errors"
	"slices"

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
}

// Token is the configured token, "" without one. It is for the API alone.
func (a *API) Token() string { return string(a.token.Reveal()) }

type apiSpec struct {
	Token  config.Secret `yaml:"token" doc:"The token, best a reference: ${GITHUB_TOKEN}."`
	URL    config.Text   `yaml:"url" doc:"Where the API is, for an instance of your own." default:"the provider's"`
	Target []config.Text `yaml:"target" doc:"What the hook is registered for: OWNER/REPO, an organization, GROUP/PROJECT; or a list."`
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
	if s.URL.Value != "" {
		if err := sender.CheckURL(s.URL.Value); err != nil {
			d.Errorf(s.URL, "%s", err.Error())
		}
		h.API.URL = s.URL.Value
	}
	for _, target := range s.Target {
		_, err := kind.Open(sender.Options{URL: "https://api.invalid", Token: "-", Target: target.Value})
		if errors.Is(err, sender.ErrTarget) {
			d.Errorf(target, "target %s", err.Error())
		}
		h.API.Targets = append(h.API.Targets, target.Value)
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
