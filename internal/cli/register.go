package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/sender"
)

// registerCmd is "register".
type registerCmd struct {
	Provider string            `arg:"" help:"github, gitlab, gitea (Forgejo too) or stripe."`
	Where    []string          `arg:"" optional:"" name:"[target] hook" help:"What it is registered for (OWNER/REPO, an organization, GROUP/PROJECT; default: api.target of the hook; nothing for Stripe), and the hook's name."`
	URL      string            `name:"url" placeholder:"URL" help:"Where senders reach the daemon. Default: server.public_url."`
	Param    map[string]string `mapsep:"none" placeholder:"K=V" help:"Value of a {param} of the hook's path; repeatable."`
	Events   []string          `placeholder:"A,B" help:"The events to ask for. Default: those that the rules compare event with."`
	DryRun   bool              `help:"Say what would be done; change nothing."`
	List     bool              `xor:"how" help:"List what is registered there."`
	Remove   bool              `xor:"how" help:"Take the registration of the hook back."`
	Secret   string            `name:"secret-file" placeholder:"FILE" help:"Where to write the secret that Stripe makes; only the owner can read the file."`
	JSON     bool              `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (registerCmd) Help() string {
	var b strings.Builder
	b.WriteString(`Creates the webhook at the provider through its API, with the hook's address, secret and the events its rules need. What is there already, known by its address, is made to be as it should: the command can be repeated.

The token is api.token of the hook, else an environment variable. It is no flag, since others can see the flags of a command. What it must be allowed to do:

`)
	for _, k := range sender.Kinds() {
		fmt.Fprintf(&b, "  %-7s %s: %s\n", k.Name, k.TokenEnv, k.Needs)
	}
	b.WriteString(`
  tenterhook register github acme/site site --url https://hooks.example.com
  tenterhook register github acme/site site --dry-run
  tenterhook register gitlab acme/web/site site
  tenterhook register stripe shop --secret-file /etc/tenterhook/stripe
  tenterhook register github acme/site --list`)
	return b.String()
}

// registration is the JSON of one target.
type registration struct {
	Provider string   `json:"provider"`
	Target   string   `json:"target"`
	Hook     string   `json:"hook"`
	Action   string   `json:"action"` // created, updated, unchanged, removed, absent
	DryRun   bool     `json:"dry_run"`
	ID       string   `json:"id"`
	URL      string   `json:"url"`
	Events   []string `json:"events"`
	Was      string   `json:"was,omitempty"` // the address before, of the only hook that there can be
}

// registered is the JSON of a hook that is listed.
type registered struct {
	Target string `json:"target"`
	sender.Registered
	Hook string `json:"hook"` // of ours that it belongs to
}

// Run registers.
func (c *registerCmd) Run(e *env) error {
	conf, err := e.load()
	if err != nil {
		return err
	}
	kind, err := c.kind()
	if err != nil {
		return err
	}
	name, targets, err := c.where(kind)
	if err != nil {
		return err
	}
	var h *hook.Hook
	if name != "" {
		if h, err = c.hook(conf, kind, name); err != nil {
			return err
		}
		if targets == nil {
			targets = h.API.Targets
		}
	}
	switch {
	case kind.Target == "":
		targets = []string{""}
	case len(targets) == 0:
		return misuse(fmt.Errorf("say what hook %q is registered for: %s", name, kind.Target), fmt.Sprintf("tenterhook register %s %s %s", kind.Name, targetExample(kind), name), "or api: {target: …} in the hook")
	}
	if c.List {
		return c.list(e, conf, kind, h, targets)
	}
	return c.each(e, conf, kind, h, targets)
}

func targetExample(k *sender.Kind) string { return strings.Fields(k.Target)[0] }

func (c *registerCmd) kind() (*sender.Kind, error) {
	if kind, ok := sender.Of(c.Provider); ok {
		return kind, nil
	}
	var names []string
	for _, k := range sender.Kinds() {
		names = append(names, k.Presets...)
	}
	hint := "one of: " + strings.Join(names, ", ")
	if near := config.Suggest(c.Provider, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return nil, misuse(fmt.Errorf("the API of %q is not known", c.Provider), hint)
}

// where tells the target from the hook: with one word, it is the target where hooks are listed of
// a provider that has targets, and the hook otherwise.
func (c *registerCmd) where(kind *sender.Kind) (hook string, targets []string, err error) {
	wrong := func(text string) error {
		usage := "tenterhook register " + kind.Name + " [TARGET] HOOK"
		if kind.Target == "" {
			usage = "tenterhook register " + kind.Name + " HOOK"
		}
		return misuse(errors.New(text), usage)
	}
	switch n := len(c.Where); {
	case n == 0 && c.List && kind.Target == "":
		return "", nil, nil
	case n == 0:
		return "", nil, wrong("the hook's name is missing")
	case n == 1 && c.List && kind.Target != "":
		return "", c.Where, nil
	case n == 1:
		return c.Where[0], nil, nil
	case n == 2 && kind.Target != "":
		return c.Where[1], c.Where[:1], nil
	}
	return "", nil, wrong("there are too many words")
}

func (c *registerCmd) hook(conf *daemon.Config, kind *sender.Kind, name string) (*hook.Hook, error) {
	h := conf.Hooks.Hook(name)
	if h == nil {
		return nil, sendCmd{Hook: name}.unknownHook(conf)
	}
	if h.API == nil || h.API.Kind != kind {
		return nil, fail(fmt.Errorf("hook %q does not have the provider %s", name, kind.Name), "provider: "+kind.Name)
	}
	return h, nil
}

// open makes the API of a target with the token of the hook, of another hook with the same
// provider, or of the environment.
func (c *registerCmd) open(e *env, conf *daemon.Config, kind *sender.Kind, h *hook.Hook, target string) (sender.API, error) {
	o := sender.Options{URL: kind.URL, Target: target}
	if h != nil {
		o = h.Options(target)
	} else {
		for _, other := range conf.Hooks.Hooks() {
			if other.API != nil && other.API.Kind == kind && other.API.Authorized() && (len(other.API.Targets) == 0 || slices.Contains(other.API.Targets, target)) {
				o = other.Options(target)
				break
			}
		}
	}
	if o.Token == "" && o.App == nil {
		o.Token = e.getenv(kind.TokenEnv)
	}
	if o.Token == "" && o.App == nil {
		return nil, fail(fmt.Errorf("there is no token for %s: neither api.token nor %s is set", kind.Title, kind.TokenEnv), "it needs "+kind.Needs)
	}
	if o.URL == "" {
		return nil, fail(fmt.Errorf("where the API of %s is, nobody said", kind.Title), "api: {url: https://git.example.com} in the hook")
	}
	api, err := kind.Open(o)
	if errors.Is(err, sender.ErrTarget) {
		return nil, misuse(err)
	}
	return api, err
}

// each registers the hook for each target, or takes it back.
func (c *registerCmd) each(e *env, conf *daemon.Config, kind *sender.Kind, h *hook.Hook, targets []string) error {
	address, err := c.address(conf, h)
	if err != nil {
		return err
	}
	done := []registration{}
	for _, target := range targets {
		api, err := c.open(e, conf, kind, h, target)
		if err != nil {
			return err
		}
		w := sender.Wanted{URL: address, Secret: h.SigningSecret()}
		if !c.Remove {
			if w.Events, err = c.events(e, kind, h, api); err != nil {
				return err
			}
		}
		r := registration{Provider: kind.Name, Target: target, Hook: h.Name, DryRun: c.DryRun, URL: address, Events: w.Events}
		if err := c.one(e.ctx, kind, api, w, &r); err != nil {
			return refusedBy(kind, target, err)
		}
		done = append(done, r)
		if !c.JSON {
			c.say(e, kind, r)
		}
	}
	if c.JSON {
		return writeJSON(e.stdout, done)
	}
	return nil
}

// refusedBy adds what the token needs to what an API said.
func refusedBy(kind *sender.Kind, target string, err error) error {
	var said *failure
	if errors.As(err, &said) {
		return err
	}
	if target != "" {
		err = fmt.Errorf("%s: %w", target, err)
	}
	var no *sender.Error
	if errors.As(err, &no) && no.Needs != "" {
		return fail(err, "the token must be "+no.Needs)
	}
	return fail(err)
}

// address is where the provider sends.
func (c *registerCmd) address(conf *daemon.Config, h *hook.Hook) (string, error) {
	base := strings.TrimRight(c.URL, "/")
	if base == "" && h.Pull != nil && h.Pull.Address != "" {
		return h.Pull.Address, nil
	}
	if base == "" {
		base = conf.Settings.Server.PublicURL
	}
	if base == "" {
		return "", misuse(errors.New("nobody said where senders reach the daemon"), "--url https://hooks.example.com", "or server: {public_url: https://hooks.example.com}")
	}
	if err := daemon.CheckPublicURL(base); err != nil {
		return "", misuse(fmt.Errorf("--url %w", err))
	}
	for segment := range strings.SplitSeq(h.Path, "/") {
		if name := strings.Trim(segment, "{}"); strings.HasPrefix(segment, "{") && c.Param[name] == "" {
			return "", misuse(fmt.Errorf("the path %s of hook %q has a parameter", h.Path, h.Name), fmt.Sprintf("--param %s=VALUE", name))
		}
	}
	_, path := sendCmd{Param: c.Param}.path(h)
	return base + path, nil
}

// events are what the provider is asked for, in its words.
func (c *registerCmd) events(e *env, kind *sender.Kind, h *hook.Hook, api sender.API) ([]string, error) {
	names := c.Events
	if len(names) == 0 {
		needs, everything := h.Events()
		if len(everything) > 0 {
			return nil, misuse(fmt.Errorf("rule %q of hook %q does not compare event with names, so nobody knows what it needs", everything[0], h.Name),
				"--events says it", `match: event == "…" && … says it for good`)
		}
		names = needs
	}
	words, unknown := api.Events(names)
	if slices.Contains(names, "*") && (kind.Name == "github" || kind.Name == "stripe") {
		return []string{"*"}, nil
	}
	if len(unknown) > 0 {
		return nil, fail(fmt.Errorf("%s has no event %q", kind.Title, unknown[0]), "--events says which to ask for")
	}
	if len(words) == 0 {
		return nil, fail(fmt.Errorf("no rule of hook %q needs an event that %s can be asked for", h.Name, kind.Title), "--events says which to ask for")
	}
	return words, nil
}

// one makes the registration of one target as it is wanted, or removes it.
func (c *registerCmd) one(ctx context.Context, kind *sender.Kind, api sender.API, w sender.Wanted, r *registration) error {
	all, err := api.Hooks(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(h sender.Registered) bool { return h.Only || sender.SameURL(h.URL, w.URL) })
	if c.Remove {
		return c.remove(ctx, api, all, at, r)
	}
	if at < 0 {
		return c.create(ctx, kind, api, w, r)
	}
	now := all[at]
	if missing := w.Missing(now); len(missing) > 0 {
		return fail(fmt.Errorf("%s is not subscribed to %s", r.Target, strings.Join(missing, ", ")), "its page has Permissions & events, which no API changes; --events says what else to ask for")
	}
	r.ID, r.Action = now.ID, "unchanged"
	if !w.Same(now) {
		r.Action = "updated"
	}
	if now.Only && now.URL != "" && !sender.SameURL(now.URL, w.URL) {
		r.Was = now.URL
	}
	if c.DryRun || kind.MakesSecret() && r.Action == "unchanged" {
		return nil
	}
	_, err = api.Update(ctx, now.ID, w)
	return err
}

func (c *registerCmd) remove(ctx context.Context, api sender.API, all []sender.Registered, at int, r *registration) error {
	r.Action, r.Events = "absent", []string{}
	if at < 0 {
		return nil
	}
	r.Action, r.ID, r.Events = "removed", all[at].ID, all[at].Events
	if c.DryRun {
		return nil
	}
	return api.Remove(ctx, r.ID)
}

// create registers what is not there. A secret that the provider makes has its file before the
// provider is asked: it is told once.
func (c *registerCmd) create(ctx context.Context, kind *sender.Kind, api sender.API, w sender.Wanted, r *registration) error {
	r.Action = "created"
	if !kind.MakesSecret() {
		if c.DryRun {
			return nil
		}
		made, err := api.Create(ctx, w)
		r.ID = made.ID
		return err
	}
	if c.Secret == "" {
		return fail(fmt.Errorf("%s makes the secret itself and tells it once: it needs a file to be kept in", kind.Title),
			"--secret-file /etc/tenterhook/stripe", "secret: ${file:/etc/tenterhook/stripe} in the hook")
	}
	if c.DryRun {
		return nil
	}
	file, err := os.CreateTemp(filepath.Dir(c.Secret), ".secret-*") // for its owner alone
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	made, err := api.Create(ctx, w)
	if err != nil {
		return err
	}
	r.ID = made.ID
	if _, err := file.WriteString(made.Made + "\n"); err != nil {
		return fmt.Errorf("keep the secret of %s, which now has to be rolled there: %w", made.ID, err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("keep the secret of %s, which now has to be rolled there: %w", made.ID, err)
	}
	return os.Rename(file.Name(), c.Secret)
}

// words are what was done, and what would be.
var registerWords = map[string][2]string{
	"created": {"created", "would create"}, "updated": {"updated", "would update"}, "unchanged": {"unchanged", "unchanged"},
	"removed": {"removed", "would remove"}, "absent": {"not there", "not there"},
}

func (c *registerCmd) say(e *env, kind *sender.Kind, r registration) {
	word := registerWords[r.Action][0]
	if r.DryRun {
		word = registerWords[r.Action][1]
	}
	how := green
	if r.Action == "unchanged" || r.Action == "absent" {
		how = faint
	}
	at := kind.Title
	if r.Target != "" {
		at += " " + r.Target
	}
	fmt.Fprintf(e.stdout, "%s  %s  %s", e.out.paint(how, word), printable(at), printable(r.URL))
	if len(r.Events) > 0 {
		fmt.Fprintf(e.stdout, "  %s", printable(strings.Join(r.Events, ", ")))
	}
	if r.ID != "" {
		fmt.Fprintf(e.stdout, "  %s", e.out.paint(faint, "id "+printable(r.ID)))
	}
	fmt.Fprintln(e.stdout)
	if r.Was != "" {
		e.say("it has one webhook, which went to %s", printable(r.Was))
	}
	switch {
	case r.DryRun:
	case r.Action == "unchanged" && !kind.MakesSecret():
		e.say("its secret was set again, since %s does not show it", kind.Title)
	case r.Action == "created" && kind.MakesSecret():
		e.say("the secret is in %s: secret: ${file:%s} in the hook reads it", printable(c.Secret), printable(c.Secret))
	}
}

// list prints what is registered.
func (c *registerCmd) list(e *env, conf *daemon.Config, kind *sender.Kind, h *hook.Hook, targets []string) error {
	all := []registered{}
	for _, target := range targets {
		api, err := c.open(e, conf, kind, h, target)
		if err != nil {
			return err
		}
		hooks, err := api.Hooks(e.ctx)
		if err != nil {
			return refusedBy(kind, target, err)
		}
		for _, r := range hooks {
			one := registered{Target: target, Registered: r}
			if ours, _ := conf.HookAt(c.URL, r.URL); ours != nil {
				one.Hook = ours.Name
			}
			if h == nil || one.Hook == h.Name {
				all = append(all, one)
			}
		}
	}
	if c.JSON {
		return writeJSON(e.stdout, all)
	}
	t := &table{columns: []column{{title: "ID"}, {title: "HOOK"}, {title: "URL", gives: true}, {title: "EVENTS", gives: true}, {title: "ACTIVE"}, {title: "LAST"}}}
	for _, r := range all {
		active := cell{"yes", green}
		if !r.Active {
			active = cell{"no", red}
		}
		t.row(cell{r.ID, plain}, cell{r.Hook, bold}, cell{r.URL, plain}, cell{strings.Join(r.Events, ","), plain}, active, cell{r.Last, faint})
	}
	t.write(e.stdout, e.out)
	return nil
}
