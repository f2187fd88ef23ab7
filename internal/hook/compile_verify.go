package hook

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// compileVerify makes the hook's verifier: the preset's, adjusted by a verify: mapping beside
// it, or the one the mapping describes. It fails closed: a hook that says nothing is a problem.
func compileVerify(h *Hook, spec *hookSpec, node config.Node, c Context, d *config.Diagnostics) {
	compileAllowIPs(h, node, spec, d)
	switch {
	case spec.Provider.Value != "" && h.Provider == nil:
		return // an unknown provider is already a problem
	case h.Provider != nil:
		h.verifier = h.Provider.Verifier()
		adjustPreset(h, spec, d)
	case spec.Verify.IsZero():
		d.Errorf(spec.Name, "hook %q says neither provider: nor verify:", h.Name).
			Hint("name the sender (provider: github) or describe its signature (verify: {scheme: hmac, …})").
			Hint("a hook that anyone may call must write out verify: none")
		return
	default:
		h.verifier, h.Scheme = compileScheme(spec.Verify, c.Dir, false, d)
	}
	if h.verifier == nil {
		return
	}
	h.Open = h.Scheme == "none"
	h.withhold = withheld(h.verifier)
	compileSecrets(h, spec, c, d)
	checkOpen(h, spec, c, d)
}

// adjustPreset decodes a verify: mapping over the preset's own settings.
func adjustPreset(h *Hook, spec *hookSpec, d *config.Diagnostics) {
	if spec.Verify.IsZero() {
		if checker, ok := h.verifier.(verify.Checker); ok && h.Provider.NeedsVerify {
			for _, p := range checker.Check() {
				problem := d.Errorf(spec.Provider, "provider %s needs verify: %s", h.Provider.Name, p.Message)
				for _, hint := range p.Hints {
					problem.Hint("%s", hint)
				}
			}
		}
		return
	}
	if spec.Verify.Kind() != config.KindMap {
		d.Errorf(spec.Verify, "verify beside provider: adjusts the preset, such as {tolerance: 20s}")
		return
	}
	if !spec.Verify.Find("scheme").IsZero() {
		d.Errorf(spec.Verify.Key("scheme"), "provider: %s brings its own scheme", h.Provider.Name).
			Hint("remove scheme:, or remove provider: and describe the scheme in full")
		return
	}
	if len(config.SchemaOf(h.verifier).Names()) == 0 {
		d.Errorf(spec.Verify, "provider: %s has nothing that verify: could adjust", h.Provider.Name).Hint("remove verify:")
		return
	}
	if spec.Verify.Decode(h.verifier, d) {
		reportProblems(h.verifier, spec.Verify, d)
	}
}

// schemeSpec is what every verify: mapping has beside the keys of its scheme.
type schemeSpec struct {
	Scheme config.Text `yaml:"scheme,required" doc:"How the sender proves itself."`
}

// ownSecretSpec is what a scheme inside any: or all: may have, too.
type ownSecretSpec struct {
	Secret []config.Secret `yaml:"secret" doc:"The secret of this scheme, where it is not the hook's."`
}

// compileScheme makes the verifier a verify: mapping describes. One inside any: or all: may have
// a secret of its own.
func compileScheme(node config.Node, dir string, inside bool, d *config.Diagnostics) (verify.Verifier, string) {
	for _, word := range []string{"any", "all"} {
		if node.Kind() == config.KindMap && !node.Find(word).IsZero() {
			return compileCombined(node, dir, word, d)
		}
	}
	if node.Kind() == config.KindScalar {
		word := node.Text(d)
		kind, ok := verify.Lookup(word.Value)
		if !ok || word.Value != "none" {
			d.Errorf(word, "verify is a mapping such as {scheme: hmac, header: X-Signature}, or the word none")
			return nil, ""
		}
		return kind.New(), kind.Name
	}
	m := node.Map(d)
	var s schemeSpec
	if !m.Decode(&s) {
		return nil, ""
	}
	kind, ok := verify.Lookup(s.Scheme.Value)
	if !ok {
		suggest(d.Errorf(s.Scheme, "unknown scheme %q", s.Scheme.Value), s.Scheme.Value, schemeNames())
		return nil, ""
	}
	v := kind.New()
	decoded := m.Decode(v)
	if r, ok := v.(interface{ Resolve(dir string) }); ok {
		r.Resolve(dir)
	}
	var own ownSecretSpec
	if inside {
		m.Decode(&own)
	}
	if m.Close() && decoded {
		reportProblems(v, node, d)
	}
	if len(own.Secret) == 0 {
		return v, kind.Name
	}
	var secrets [][]byte
	for _, s := range own.Secret {
		checkSecret(s, v, d)
		secrets = append(secrets, s.Reveal())
	}
	return verify.Own{Verifier: v, Secrets: secrets}, kind.Name
}

// compileCombined makes the verifier of any: or all:.
func compileCombined(node config.Node, dir, word string, d *config.Diagnostics) (verify.Verifier, string) {
	m := node.Map(d)
	list := m.Get(word)
	m.Close()
	var of []verify.Verifier
	var names []string
	for _, item := range list.List() {
		v, name := compileScheme(item, dir, true, d)
		if v == nil {
			return nil, ""
		}
		if name == "none" {
			d.Errorf(item, "none has no place in %s:", word)
		}
		of, names = append(of, v), append(names, name)
	}
	if len(of) == 0 {
		d.Errorf(list, "%s: is a list of schemes", word).Hint("verify: {%s: [{scheme: hmac, header: X-Signature}, {scheme: basic, username: hooks}]}", word)
		return nil, ""
	}
	name := word + " of " + strings.Join(names, ", ")
	if word == "any" {
		return verify.Any(of), name
	}
	return verify.All(of), name
}

func checkSecret(s config.Secret, v verify.Verifier, d *config.Diagnostics) {
	checker, ok := v.(verify.SecretChecker)
	if secret := s.Reveal(); ok && len(secret) > 0 {
		if err := checker.CheckSecret(secret); err != nil {
			d.Errorf(s, "%s", err.Error())
		}
	}
}

func schemeNames() []string {
	var names []string
	for _, k := range verify.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// reportProblems places what a verifier finds wrong with itself.
func reportProblems(v verify.Verifier, node config.Node, d *config.Diagnostics) {
	checker, ok := v.(verify.Checker)
	if !ok {
		return
	}
	for _, p := range checker.Check() {
		at := node
		if found := node.Find(p.Path...); !found.IsZero() {
			at = found
		}
		report := d.Errorf
		if p.Warning {
			report = d.Warnf
		}
		problem := report(at, "%s", p.Message)
		for _, hint := range p.Hints {
			problem.Hint("%s", hint)
		}
	}
}

func compileSecrets(h *Hook, spec *hookSpec, c Context, d *config.Diagnostics) {
	taker, takes := h.verifier.(verify.SecretTaker)
	takes = takes && taker.TakesSecret()
	if !h.verifier.NeedsSecret() && (!takes || len(spec.Secret) == 0) {
		if len(spec.Secret) > 0 {
			d.Errorf(spec.Secret[0], "%s has no use for a secret", h.Scheme).
				Hint("remove secret:, or choose a scheme that checks it")
		}
		return
	}
	if len(spec.Secret) == 0 {
		d.Errorf(spec.Name, "hook %q needs a secret: %s checks it", h.Name, h.Scheme).
			Hint("secret: ${%s_SECRET}", strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(h.Name)))
		return
	}
	for _, s := range spec.Secret {
		secret := s.Reveal()
		checkSecret(s, h.verifier, d)
		if string(secret) == SampleSecret && c.Exposed {
			d.Errorf(s, "the sample secret is public and refused on a listener that other machines can reach").
				Hint("use one of your own: openssl rand -hex 32")
		}
		h.secrets = append(h.secrets, secret)
	}
}

// checkOpen makes verify: none loud, and refuses it where strangers can call.
func checkOpen(h *Hook, spec *hookSpec, c Context, d *config.Diagnostics) {
	if !h.Open {
		return
	}
	if c.Exposed && !spec.Public {
		d.Errorf(spec.Verify, "verify: none is refused on a listener that other machines can reach").
			Hint("verify the sender, listen on 127.0.0.1, or write public: true beside it")
		return
	}
	d.Warnf(spec.Verify, "hook %q is not verified: anyone who reaches it starts its rules", h.Name)
}

func compileAllowIPs(h *Hook, node config.Node, spec *hookSpec, d *config.Diagnostics) {
	if list := node.Find("allow_ips"); !list.IsZero() && len(spec.AllowIPs) == 0 {
		d.Errorf(list, "allow_ips names nobody").Hint("leave it out, and every address may call")
	}
	for _, text := range spec.AllowIPs {
		prefix, err := ParsePrefix(text.Value)
		if err != nil {
			d.Errorf(text, "allow_ips wants addresses or networks such as 192.0.2.0/24, found %q", text.Value)
			continue
		}
		h.allowIPs = append(h.allowIPs, prefix)
	}
}

// ParsePrefix reads a network in CIDR notation or a single address.
func ParsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return addr.Unmap().Prefix(addr.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return p.Masked(), nil
}

func withheld(v verify.Verifier) []string {
	names := slices.Concat(alwaysWithheld, v.Withhold())
	slices.Sort(names)
	return slices.Compact(names)
}
