package hook

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/request"
)

// Context is what compiling needs to know beside the hooks themselves.
type Context struct {
	Dir      string   // folder of the configuration file: relative paths start here
	Digest   string   // of the configuration
	Exposed  bool     // the deliveries' listener is reachable from other machines
	Public   bool     // where senders reach the listener is known
	Mask     []string // values that are never shown
	Defaults config.Node
	Fleet    bool     // other nodes can be on the store
	Labels   []string // of this node

	// Of Mask, once for all hooks: each could have a secret of its own.
	masks   *action.Masks
	hide    *strings.Replacer
	longest int
}

// SampleSecret is the secret of the quick start's file. It is public, so a hook that has it is
// refused on a listener that other machines can reach.
const SampleSecret = "sample-secret-for-trying-only"

// Compile makes a Set of the `hooks:` list. It is pure but for looking up programs and folders.
// Problems go to d, all of them; the Set is of use only when d has none.
func Compile(hooks config.Node, c Context, d *config.Diagnostics) *Set {
	checkDefaults(c.Defaults, d)
	c.masks = action.NewMasks(c.Mask)
	c.hide, c.longest = neverShown(c.Mask)
	set := &Set{digest: c.Digest, byName: map[string]*Hook{}}
	places := map[string]config.Text{} // shape of a path → where it was declared
	for _, node := range hooks.List() {
		h, spec := compileHook(node, c, d)
		if h == nil {
			continue
		}
		if h.Name != "" {
			if set.byName[h.Name] != nil {
				d.Errorf(spec.Name, "hook %q is declared twice", h.Name)
			}
			set.byName[h.Name] = h
		}
		set.hooks = append(set.hooks, h)
		if !h.Enabled || h.Path == "" {
			continue
		}
		if first, taken := places[shape(h.Path)]; taken {
			d.Errorf(spec.Path, "hook %q has the same path as the hook at %s: %s", h.Name, first.Pos(), h.Path)
			continue
		}
		places[shape(h.Path)] = spec.Path
		set.routes.add(h)
	}
	return set
}

// hookSpec is a hook as it is written. What rules and verification look like is read by them.
type hookSpec struct {
	Name     config.Text     `yaml:"name,required" doc:"Unique name: letters, digits, -, _ and ."`
	Path     config.Text     `yaml:"path,required" doc:"Path of the address: /github/{repo}. A {param} is one segment and becomes params.repo."`
	Provider config.Text     `yaml:"provider" doc:"A sender that is known by name: \"tenterhook providers\" lists them. It or verify is required."`
	Secret   []config.Secret `yaml:"secret" doc:"The secret that the sender signs with, or a list while you rotate: all are tried. Best a reference: ${NAME}, ${file:/path} or ${credential:name}."`
	Verify   config.Node     `yaml:"verify" doc:"How the sender proves itself, by hand; beside provider it adjusts the preset. none must be written out."`
	AllowIPs []config.Text   `yaml:"allow_ips" doc:"Addresses or networks the sender must come from, in addition."`
	Methods  []config.Text   `yaml:"methods" doc:"Methods the hook takes." default:"POST"`
	Parse    config.Text     `yaml:"parse" doc:"The body's type, when the sender's header lies; otherwise Content-Type says."`
	MaxBody  config.Size     `yaml:"max_body" doc:"The largest body, at most 64MiB; beyond it the answer is 413. Nothing is cut." default:"1MiB or the preset's"`
	Enabled  *bool           `yaml:"enabled" doc:"false: the path does not exist." default:"true"`
	Hide     bool            `yaml:"hide" doc:"Answer forged requests like an unknown path, with 404." default:"false"`
	Public   bool            `yaml:"public" doc:"Allow verify: none where other machines can call." default:"false"`
	Rate     *rateSpec       `yaml:"rate" doc:"Requests that one sender address may make; beyond it the answer is 429."`
	API      config.Node     `yaml:"api" doc:"The sender's own API, which register and catchup speak to."`
	Catchup  config.Node     `yaml:"catchup" doc:"Ask the sender's API, at the start and every so often, for what did not arrive."`
	Pull     config.Node     `yaml:"pull" doc:"Take deliveries from where they wait, with no open port: a channel of smee.io or gosmee, another Tenterhook, or the sender's API."`
	Hold     config.Node     `yaml:"hold" doc:"true: keep deliveries for another Tenterhook to take, over relay.listen; nothing is run for them here."`
	Dedupe   config.Node     `yaml:"dedupe" doc:"What makes two requests the same delivery; or the word none."`
	Respond  config.Node     `yaml:"respond" doc:"The answer to a delivery that was stored, in place of the standard one."`
	Let      config.Node     `yaml:"let" doc:"Names for expressions, computed once per delivery, on first use; each may use those above it."`
	Expect   config.Node     `yaml:"expect" doc:"How often deliveries are expected: actions are started when one does not come, and when it is back."`
	Rules    config.Node     `yaml:"rules" doc:"What is done with a delivery: each rule that matches makes a job. One rule may be written in the hook itself."`
}

type rateSpec struct {
	Limit int           `yaml:"limit,required" doc:"How many."`
	Per   time.Duration `yaml:"per,required" doc:"In which time."`
}

// The body a hook takes when neither it nor its preset says otherwise, and the most it may say.
const (
	defaultMaxBody = 1 << 20
	largestBody    = 64 << 20
)

func compileHook(node config.Node, c Context, d *config.Diagnostics) (*Hook, *hookSpec) {
	if node.Kind() != config.KindMap {
		d.Errorf(node, "a hook is a mapping with name, path, provider or verify, and rules")
		return nil, nil
	}
	if isInline(node) {
		node = withDefaults(node, c.Defaults)
	}
	m := node.Map(d)
	spec := &hookSpec{}
	m.Decode(spec)
	h := &Hook{
		Name: spec.Name.Value, Config: c.Digest, Path: spec.Path.Value, Methods: []string{"POST"}, MaxBody: defaultMaxBody,
		Enabled: spec.Enabled == nil || *spec.Enabled, Hide: spec.Hide,
	}
	h.secret, h.longest = c.hide, c.longest
	checkName(spec.Name, "hook", d)
	if problem := checkPath(h.Path); h.Path != "" && problem != "" {
		d.Errorf(spec.Path, "path %s", problem)
	}
	compilePreset(h, spec, d)
	compileRequest(h, spec, node, d)
	compileVerify(h, spec, node, c, d)
	scope := compileLets(h, spec, d)
	h.scope = scope
	compileDedupe(h, spec, scope, d)
	compileAPI(h, spec, d)
	compileCatchup(h, spec, c, d)
	compilePull(h, spec, c, d)
	compileHold(h, spec, node, d)
	compileRespond(h, spec, scope, d)
	compileRules(h, m, node, spec, scope, c, d)
	h.wanted = h.reads()
	compileExpect(h, spec.Expect, scope, c, d)
	checkWait(h, spec, d)
	return h, spec
}

func compilePreset(h *Hook, spec *hookSpec, d *config.Diagnostics) {
	if spec.Provider.Value == "" {
		return
	}
	preset, ok := provider.Lookup(spec.Provider.Value)
	if !ok {
		suggest(d.Errorf(spec.Provider, "unknown provider %q", spec.Provider.Value), spec.Provider.Value, provider.Names())
		return
	}
	h.Provider, h.Scheme, h.Format = preset, preset.Name, preset.Format
	if preset.MaxBody > 0 {
		h.MaxBody = preset.MaxBody
	}
}

var methods = []string{"POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

func formatNames() (names []string) {
	for _, known := range request.Formats() {
		names = append(names, string(known))
	}
	return names
}

// compileRequest reads what a request must be like before it is verified.
func compileRequest(h *Hook, spec *hookSpec, node config.Node, d *config.Diagnostics) {
	if h.Provider != nil {
		h.Methods = append(h.Methods, h.Provider.Methods...)
	}
	if len(spec.Methods) > 0 {
		h.Methods = nil
	}
	for _, m := range spec.Methods {
		if !slices.Contains(methods, m.Value) {
			suggest(d.Errorf(m, "unknown method %q", m.Value), m.Value, methods)
		}
		h.Methods = append(h.Methods, m.Value)
	}
	if f := spec.Parse.Value; f != "" {
		if formats := formatNames(); !slices.Contains(formats, f) {
			suggest(d.Errorf(spec.Parse, "unknown body type %q", f), f, formats)
		}
		h.Format = request.Format(f)
	}
	if size := node.Find("max_body"); spec.MaxBody == 0 && size.Kind() == config.KindScalar && size.Text(d).Value != "" {
		d.Errorf(size, "max_body is at least 1 byte")
	}
	if spec.MaxBody > 0 {
		h.MaxBody = int64(spec.MaxBody)
	}
	if h.MaxBody > largestBody {
		d.Errorf(node.Find("max_body"), "max_body is at most 64MiB")
	}
	if r := spec.Rate; r != nil {
		if limit := node.Find("rate", "limit"); r.Limit < 1 && !limit.IsZero() {
			d.Errorf(limit, "limit is at least 1").Hint("rate: {limit: 60, per: 1m}")
		}
		if per := node.Find("rate", "per"); r.Per <= 0 && !per.IsZero() {
			d.Errorf(per, "per is longer than nothing").Hint("rate: {limit: 60, per: 1m}")
		}
		h.Rate = &Rate{Limit: r.Limit, Per: r.Per}
	}
}

// compileLets compiles the hook's let: names and returns the scope its expressions live in.
func compileLets(h *Hook, spec *hookSpec, d *config.Diagnostics) expression.Scope {
	var scope expression.Scope
	var sources []expression.LetSource
	var places []config.Text
	if !spec.Let.IsZero() && spec.Let.Kind() != config.KindMap {
		d.Errorf(spec.Let, "let is a mapping from names to expressions")
		return scope
	}
	for _, e := range spec.Let.Entries() {
		text := e.Value.Text(d)
		sources = append(sources, expression.LetSource{Name: e.Key.Value, Source: text.Value})
		places = append(places, text)
	}
	h.lets = compileSources(sources, places, d)
	for _, s := range sources {
		scope.Lets = append(scope.Lets, s.Name)
	}
	return scope
}

// compileSources compiles let: values. One that YAML cut at a # is tried whole; see
// config.Compile.
func compileSources(sources []expression.LetSource, places []config.Text, d *config.Diagnostics) *expression.Lets {
	lets, errs := expression.CompileLets(sources)
	cut := map[int]bool{}
	for i, err := range errs {
		if whole, ok := places[i].PastComment(); ok && err != nil {
			places[i], sources[i].Source, cut[i] = whole, whole.Value, true
		}
	}
	if len(cut) > 0 {
		lets, errs = expression.CompileLets(sources)
	}
	for i, err := range errs {
		switch {
		case err != nil:
			d.Within(places[i], err)
		case cut[i]:
			d.WarnPastComment(places[i])
		}
	}
	return lets
}

type dedupeSpec struct {
	Key         config.Text   `yaml:"key" doc:"A template: deliveries with the same key are the same. Otherwise the preset's, else the digest of method, path, query and body."`
	Window      time.Duration `yaml:"window" doc:"How long keys are remembered." default:"30d"`
	OnDuplicate config.Text   `yaml:"on_duplicate" doc:"skip starts nothing; rerun_failed gives the jobs of the first delivery that ended badly a new attempt."`
}

// The window keys are remembered for, and the least one: longer than the senders' own retries.
const (
	defaultWindow = 30 * 24 * time.Hour
	shortestNote  = 24 * time.Hour
)

var duplicatePolicies = []string{string(job.Skip), string(job.RerunFailed)}

func compileDedupe(h *Hook, spec *hookSpec, scope expression.Scope, d *config.Diagnostics) {
	h.Dedupe = Dedupe{Window: defaultWindow, OnDuplicate: job.Skip}
	if h.Provider != nil {
		h.Dedupe.OnDuplicate = cmp.Or(h.Provider.OnDuplicate, job.Skip)
	}
	switch {
	case spec.Dedupe.IsZero():
		return
	case spec.Dedupe.Kind() == config.KindScalar:
		if word := spec.Dedupe.Text(d); word.Value != "none" {
			d.Errorf(word, "dedupe is none or a mapping with key, window, on_duplicate")
		}
		h.Dedupe.None = true
		return
	}
	var s dedupeSpec
	if !spec.Dedupe.Decode(&s, d) {
		return
	}
	if window := spec.Dedupe.Find("window"); s.Window <= 0 && !window.IsZero() {
		d.Errorf(window, "window is longer than nothing").Hint("dedupe: none takes each request for a new delivery")
	}
	if s.Window > 0 {
		h.Dedupe.Window = s.Window
		if s.Window < shortestNote {
			d.Warnf(spec.Dedupe.Find("window"), "a window of %s is shorter than most senders' retries: a late retry would run again", s.Window)
		}
	}
	if s.OnDuplicate.Value != "" {
		if policies := duplicatePolicies; !slices.Contains(policies, s.OnDuplicate.Value) {
			suggest(d.Errorf(s.OnDuplicate, "unknown on_duplicate %q", s.OnDuplicate.Value), s.OnDuplicate.Value, policies)
		}
		h.Dedupe.OnDuplicate = job.OnDuplicate(s.OnDuplicate.Value)
	}
	if s.Key.Value != "" {
		h.Dedupe.key = compileTemplate(s.Key, scope, d)
		warnOfConstantKey(h.Dedupe, s.Key, scope, d)
	}
}

// warnOfConstantKey warns of a key that takes every delivery after the first for a duplicate. It is
// mostly an expression without its braces.
func warnOfConstantKey(dedupe Dedupe, key config.Text, scope expression.Scope, d *config.Diagnostics) {
	if dedupe.key == nil {
		return // said already
	}
	text, constant := dedupe.key.Constant()
	if !constant {
		return
	}
	meant := "${{ payload.id }}"
	if braced := "${{ " + text + " }}"; isTemplate(braced, scope) {
		meant = braced
	}
	d.Warnf(key, "this key is the same for every delivery: within %s of one, each further one is its duplicate and runs nothing", short(dedupe.Window)).
		Hint("an expression has braces: key: \"%s\"", meant)
}

func isTemplate(text string, scope expression.Scope) bool {
	_, err := expression.CompileTemplate(text, scope)
	return err == nil
}

func compileTemplate(text config.Text, scope expression.Scope, d *config.Diagnostics) *expression.Template {
	t, _ := config.Compile(text, d, func(source string) (*expression.Template, error) {
		return expression.CompileTemplateWhere(source, scope, text.Written)
	})
	return t
}

func checkName(name config.Text, what string, d *config.Diagnostics) {
	if name.Value == "" {
		return
	}
	for _, c := range name.Value {
		ok := c == '-' || c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !ok || len(name.Value) > 64 {
			d.Errorf(name, "%s name %q may hold letters, digits, -, _ and ., at most 64", what, name.Value)
			return
		}
	}
}

// suggest adds what would have been right to a problem.
func suggest(problem *config.Diagnostic, word string, among []string) {
	if near := config.Suggest(word, among); near != "" {
		problem.Hint("did you mean %q?", near)
		return
	}
	problem.Hint("one of: %s", join(among))
}
