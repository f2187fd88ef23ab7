package hook

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/pull"
	"github.com/tenterhook/tenterhook/internal/sender"
)

// Pull is where a hook's deliveries wait for it.
type Pull struct {
	Kind    string // smee, gosmee, tenterhook or poll
	URL     string // "" for poll
	Hook    string // the hook's name at another Tenterhook
	Address string // where the sender sends to, "" where nobody said

	// Roots sign the source's certificate, nil for those whom the machine believes.
	Roots *x509.CertPool

	token config.Secret
}

// The kinds of a Pull.
const (
	PullSmee       = "smee"
	PullGosmee     = "gosmee"
	PullTenterhook = "tenterhook"
	PullPoll       = "poll"
)

// Token is for the other Tenterhook alone.
func (p *Pull) Token() string { return string(p.token.Reveal()) }

// Source tells one source from another without telling its address, which may be all that protects
// it.
func (p *Pull) Source() string {
	sum := sha256.Sum256([]byte(p.Kind + "\x00" + p.URL + "\x00" + p.Hook))
	return p.Kind + ":" + hex.EncodeToString(sum[:8])
}

// Same reports whether two are the same source, asked for with the same token and believed for the
// same authority's sake.
func (p *Pull) Same(q *Pull) bool {
	return p.Kind == q.Kind && p.URL == q.URL && p.Hook == q.Hook && p.Token() == q.Token() && p.Roots.Equal(q.Roots)
}

type pullSpec struct {
	Smee       config.Text    `yaml:"smee" doc:"A channel of smee.io, or of a smee server of your own: https://smee.io/CHANNEL. It is a secret: ${SMEE_URL}."`
	Gosmee     config.Text    `yaml:"gosmee" doc:"A channel of a gosmee server: https://HOST/CHANNEL."`
	Tenterhook config.Text    `yaml:"tenterhook" doc:"The relay listener of another Tenterhook, whose hook has hold: https://hooks.example.com:9443."`
	Token      config.Secret  `yaml:"token" doc:"With tenterhook: one of the tokens in the other's relay.takers."`
	Hook       config.Text    `yaml:"hook" doc:"With tenterhook: the hook's name there." default:"the same"`
	CA         config.Text    `yaml:"ca" doc:"PEM file: who signs the source's certificate. It is then believed instead of those whom the machine believes." default:"the machine's"`
	Poll       *time.Duration `yaml:"poll" doc:"How often the sender's API is asked for what it sent, at least 10s. GitHub and Stripe; needs api."`
	Address    config.Text    `yaml:"address" doc:"Where the sender sends to, by which register, catchup and poll know the hook there." default:"the channel; or server.public_url and path"`
}

// shortestPoll keeps the limits of the senders' APIs.
const shortestPoll = 10 * time.Second

// compilePull reads pull:, which is one source.
func compilePull(h *Hook, spec *hookSpec, c Context, d *config.Diagnostics) {
	var s pullSpec
	if spec.Pull.IsZero() || !spec.Pull.Decode(&s, d) {
		return
	}
	var p *Pull
	kinds := 0
	for _, one := range []struct {
		kind string
		url  config.Text
	}{{PullSmee, s.Smee}, {PullGosmee, s.Gosmee}, {PullTenterhook, s.Tenterhook}} {
		if one.url.Value == "" {
			continue
		}
		kinds++
		p = &Pull{Kind: one.kind, URL: strings.TrimRight(one.url.Value, "/"), Hook: h.Name, Address: s.Address.Value, token: s.Token}
		checkSource(p, one.url, d)
	}
	if s.Poll != nil {
		kinds++
		p = &Pull{Kind: PullPoll, Address: s.Address.Value}
	}
	if kinds != 1 {
		d.Errorf(spec.Pull, "pull is one source, found %d", kinds).Hint("pull: {smee: https://smee.io/…}, {gosmee: …}, {tenterhook: …, token: …} or {poll: 1m}")
		return
	}
	h.Pull = p
	checkPull(h, spec, s, d)
	readAuthorities(p, s.CA, c.Dir, d)
	switch p.Kind {
	case PullTenterhook:
		checkTaker(p, spec, s, d)
		return
	case PullPoll:
		compilePoll(h, spec, *s.Poll, c, d)
	}
	if len(s.Token.Reveal()) > 0 {
		d.Errorf(s.Token, "token is for tenterhook: %s has none", p.Kind)
	}
	if s.Hook.Value != "" {
		d.Errorf(s.Hook, "hook is for tenterhook: %s has none", p.Kind)
	}
}

func checkSource(p *Pull, at config.Text, d *config.Diagnostics) {
	check := pull.CheckChannel
	if p.Kind == PullTenterhook {
		check = sender.CheckURL
	}
	if err := check(at.Value); err != nil {
		d.Errorf(at, "%s: %s", p.Kind, err.Error())
	}
	if p.Kind != PullTenterhook && p.Address == "" {
		p.Address = p.URL
	}
}

// readAuthorities reads ca:, which is for a source that is asked over TLS.
func readAuthorities(p *Pull, at config.Text, dir string, d *config.Diagnostics) {
	switch path := at.Value; {
	case path == "":
	case p.Kind == PullPoll:
		d.Errorf(at, "ca is for a channel or a tenterhook: poll asks the sender's API")
	case !strings.HasPrefix(p.URL, "https://"):
		d.Errorf(at, "ca is for https://: %s is asked without TLS", p.Kind)
	default:
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		roots, err := pull.ReadAuthorities(path)
		if err != nil {
			d.Errorf(at, "ca cannot be read: %s", err)
		}
		p.Roots = roots
	}
}

func checkTaker(p *Pull, spec *hookSpec, s pullSpec, d *config.Diagnostics) {
	if len(s.Token.Reveal()) == 0 {
		d.Errorf(spec.Pull, "pull from another Tenterhook wants token").Hint("pull: {tenterhook: …, token: ${RELAY_TOKEN}}, which its relay.takers has too")
	}
	if s.Hook.Value != "" {
		checkName(s.Hook, "hook", d)
		p.Hook = s.Hook.Value
	}
}

// checkPull refuses what a source cannot do.
func checkPull(h *Hook, spec *hookSpec, s pullSpec, d *config.Diagnostics) {
	p := h.Pull
	switch {
	case h.Dedupe.None:
		d.Errorf(spec.Pull, "pull and dedupe: none contradict each other: a source may hand on the same delivery twice")
	case h.verifier != nil && h.WantsCertificate():
		d.Errorf(spec.Pull, "pull and a client's certificate contradict each other: a source does not hand it on")
	case p.Kind != PullTenterhook && strings.Contains(h.Path, "{"):
		d.Errorf(spec.Path, "a path with a {param} and pull from %s contradict each other: nobody would know what it is", p.Kind)
	case p.Kind != PullTenterhook && len(h.allowIPs) > 0:
		d.Errorf(spec.AllowIPs[0], "allow_ips and pull from %s contradict each other: the sender's address is not known", p.Kind)
	case h.Open && !spec.Public && (p.Kind == PullSmee || p.Kind == PullGosmee):
		d.Errorf(spec.Verify, "verify: none is refused for a channel, to which anybody may send").Hint("verify the sender, or write public: true beside it")
	}
	if s.Address.Value != "" {
		if err := sender.CheckURL(strings.Replace(s.Address.Value, "http://", "https://", 1)); err != nil {
			d.Errorf(s.Address, "address is https://host/path")
		}
	}
}

// compilePoll makes polling of the catching up that it is.
func compilePoll(h *Hook, spec *hookSpec, every time.Duration, c Context, d *config.Diagnostics) {
	at := spec.Pull.Find("poll")
	known := c.Public || h.Pull.Address != ""
	switch {
	case h.API == nil || h.API.Kind.Name != "github" && h.API.Kind.Name != "stripe":
		d.Errorf(at, "poll wants a sender that keeps what it sent, and goes on sending when nobody answers").Hint("one of: github, stripe")
		return
	case every < shortestPoll:
		d.Errorf(at, "poll is at least %s", shortestPoll)
	case !h.API.Authorized():
		d.Errorf(at, "poll wants api.token").Hint("api: {token: ${%s}}", h.API.Kind.TokenEnv)
	case len(h.API.Targets) == 0 && h.API.Kind.Target != "":
		d.Errorf(at, "poll wants api.target: %s", h.API.Kind.Target).Hint("api: {target: acme/site}")
	case !known && h.API.Kind.Target != "":
		d.Errorf(at, "poll wants to know what address the hook is registered with, which nobody has to reach").
			Hint("pull: {poll: 1m, address: https://hooks.example.com/github}, or server: {public_url: https://hooks.example.com}")
	case h.Catchup != nil:
		d.Errorf(spec.Catchup, "catchup and poll contradict each other: poll is both")
	case h.Dedupe.Window < CatchupWithin:
		d.Errorf(at, "poll looks back %s and dedupe.window remembers %s: what is forgotten would run again", CatchupWithin, h.Dedupe.Window)
	}
	h.Catchup = &Catchup{Every: every, Within: CatchupWithin, Poll: true}
}
