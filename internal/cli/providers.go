package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// providersCmd is "providers".
type providersCmd struct {
	Name     string `arg:"" optional:"" complete:"providers" help:"Show this one."`
	JSON     bool   `name:"json" help:"Print one JSON document."`
	Markdown bool   `hidden:"" help:"Print the page of the documentation."`
}

// Help is the longer text of the command.
func (providersCmd) Help() string {
	return `Lists the senders that are known by name (provider: NAME), or shows one: what is checked, its delivery key and event type, how it checks an address, where to click, and the samples that "tenterhook send --sample" has.

    tenterhook providers
    tenterhook providers stripe`
}

// providerInfo is the JSON of one provider.
type providerInfo struct {
	Name        string   `json:"name"`
	Aliases     []string `json:"aliases"`
	Title       string   `json:"title"`
	Checked     string   `json:"checked"`
	Setup       string   `json:"setup"`
	Source      string   `json:"source"`
	Secret      bool     `json:"secret"`       // whether one is required
	Key         bool     `json:"key"`          // whether the sender gives its deliveries an id
	Handshake   bool     `json:"handshake"`    // whether it checks the address
	Methods     []string `json:"methods"`      // the hook takes
	MaxBody     int64    `json:"max_body"`     // bytes
	OnDuplicate string   `json:"on_duplicate"` // skip or rerun_failed
	Samples     []string `json:"samples"`
}

func infoOf(p *provider.Preset) providerInfo {
	info := providerInfo{
		Name: p.Name, Aliases: append([]string{}, p.Aliases...), Title: p.Title, Checked: oneLine(p.Doc), Setup: oneLine(p.Setup), Source: p.Source,
		Secret: p.Verifier().NeedsSecret(), Key: p.Key != nil, Handshake: p.Handshake != nil || p.Greeting != nil,
		Methods: append([]string{"POST"}, p.Methods...), MaxBody: p.MaxBody, OnDuplicate: string(p.OnDuplicate), Samples: []string{},
	}
	if info.MaxBody == 0 {
		info.MaxBody = 1 << 20
	}
	for _, s := range p.Samples {
		info.Samples = append(info.Samples, s.Name)
	}
	return info
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Run lists or shows.
func (c providersCmd) Run(e *env) error {
	switch {
	case c.Markdown:
		providersPage(e.stdout)
		return nil
	case c.Name != "":
		return c.show(e)
	}
	var list []providerInfo
	t := table{columns: []column{{title: "NAME"}, {title: "SENDER"}, {title: "ID"}, {title: "CHECKS ADDRESS"}, {title: "SAMPLES", gives: true}}}
	for _, p := range provider.All() {
		info := infoOf(p)
		list = append(list, info)
		t.row(cell{info.Name, bold}, cell{text: info.Title}, cell{text: yes(info.Key)}, cell{text: yes(info.Handshake)}, cell{text: strings.Join(info.Samples, " ")})
	}
	if c.JSON {
		return writeJSON(e.stdout, list)
	}
	t.write(e.stdout, e.out)
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func (c providersCmd) show(e *env) error {
	p, ok := provider.Lookup(c.Name)
	if !ok {
		hint := `"tenterhook providers" lists them`
		if near := config.Suggest(c.Name, provider.Names()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return fail(fmt.Errorf("there is no provider %q", c.Name), hint)
	}
	info := infoOf(p)
	if c.JSON {
		return writeJSON(e.stdout, info)
	}
	facts(e.stdout, e.out,
		[2]string{"provider", strings.Join(append([]string{info.Name}, info.Aliases...), ", ")}, [2]string{"sender", info.Title},
		[2]string{"methods", strings.Join(info.Methods, ", ")}, [2]string{"body", "up to " + size(int(info.MaxBody))},
		[2]string{"duplicate", info.OnDuplicate}, [2]string{"samples", strings.Join(info.Samples, ", ")}, [2]string{"source", info.Source})
	fmt.Fprintf(e.stdout, "\n%s\n%s\n\n%s\n%s\n\n%s\n%s", e.out.paint(bold, "what is checked"), p.Doc, e.out.paint(bold, "at the sender"), p.Setup,
		e.out.paint(bold, "in hooks.yaml"), example(p))
	return nil
}

// example is the hook a person begins with.
func example(p *provider.Preset) string {
	secret := ""
	if p.Verifier().NeedsSecret() {
		secret = fmt.Sprintf("    secret: ${%s_SECRET}\n", strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(p.Name)))
	}
	if checker, ok := p.Verifier().(verify.Checker); ok && p.NeedsVerify { // as the hook's owner would be told
		for _, problem := range checker.Check() {
			secret += "    " + strings.Join(problem.Hints, "\n    ") + "\n"
		}
	}
	match := ""
	if s := p.Samples[0]; p.Event != nil && s.Event != "" {
		match = fmt.Sprintf("    match: event == %q\n", s.Event)
	}
	return fmt.Sprintf("  - name: %s\n    path: /%s\n    provider: %s\n%s%s    run: ./on-%s.sh\n", p.Name, p.Name, p.Name, secret, match, p.Name)
}

// providersPage is docs/providers.md.
func providersPage(w io.Writer) {
	fmt.Fprint(w, "# Senders known by name\n\n`provider: NAME` and a secret are all a hook needs for these. This page is printed by `tenterhook providers --markdown`.\n\n")
	fmt.Fprint(w, "| name | sender | delivery id | checks the address | duplicate |\n|---|---|---|---|---|\n")
	for _, p := range provider.All() {
		info := infoOf(p)
		names := []string{fmt.Sprintf("[`%s`](#%s)", info.Name, info.Name)}
		for _, alias := range info.Aliases {
			names = append(names, "`"+alias+"`")
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | `%s` |\n", strings.Join(names, ", "), info.Title, yes(info.Key), yes(info.Handshake), info.OnDuplicate)
	}
	for _, p := range provider.All() {
		fmt.Fprintf(w, "\n## %s\n\n%s. %s\n\nAt the sender: %s\n\n```yaml\n%s```\n\nSource: %s\n", p.Name, p.Title, oneLine(p.Doc), oneLine(p.Setup), example(p), p.Source)
	}
	fmt.Fprint(w, "\n# Schemes for every other sender\n")
	for _, k := range verify.Kinds() {
		fmt.Fprintf(w, "\n## scheme: %s\n\n%s\n", k.Name, oneLine(k.Doc))
	}
	fmt.Fprintf(w, "\n`verify: {any: […]}` and `verify: {all: […]}` combine them; each may have a `secret` of its own. Bodies: %s.\n", strings.Join(formats(), ", "))
}

func formats() []string {
	var out []string
	for _, f := range request.Formats() {
		out = append(out, "`"+string(f)+"`")
	}
	return out
}
