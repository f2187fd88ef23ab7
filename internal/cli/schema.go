package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

// schemaCmd is "schema".
type schemaCmd struct {
	Markdown bool `help:"Print the keys as a page of Markdown instead."`
}

// Help is the longer text of the command.
func (schemaCmd) Help() string {
	return `Prints a JSON Schema (2020-12) of hooks.yaml. Editors that know it complete keys, show what they mean and mark mistakes while you write. VS Code (with its YAML extension), Neovim, Helix and others read which schema a file has from its first line:

    # yaml-language-server: $schema=` + daemon.SchemaAddress + `

or, without a network, from a file that this command has written:

    tenterhook schema > hooks.schema.json
    # yaml-language-server: $schema=hooks.schema.json

"tenterhook check" knows more than any schema: expressions, programs, secrets.`
}

// Run prints.
func (c schemaCmd) Run(e *env) error {
	if c.Markdown {
		keysPage(e.stdout)
		return nil
	}
	return writeSchema(e.stdout)
}

// writeSchema is docs/hooks.schema.json: one line, which programs read.
func writeSchema(w io.Writer) error {
	text, err := json.Marshal(daemon.Schema())
	if err != nil {
		return fmt.Errorf("encode the schema: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// keysPage is docs/keys.md.
func keysPage(w io.Writer) {
	root := daemon.Schema()
	fmt.Fprint(w, "# Every key of hooks.yaml\n\nThis page is printed by `tenterhook schema --markdown`, from what the loader reads. [configuration.md](configuration.md) explains\n"+
		"how the keys play together; [providers.md](providers.md) has the senders and schemes.\n")
	section(w, "The file", root)
	defs := map[string]*config.Schema{}
	for _, def := range root.Defs {
		defs[def.Name] = def.Schema
	}
	hook, rule := *defs["hook"], defs["rule"]
	hook.Properties = slices.DeleteFunc(slices.Clone(hook.Properties), func(k config.Key) bool { return k.Name != "name" && rule.Key(k.Name) != nil })
	section(w, "A hook", &hook)
	fmt.Fprint(w, "\nA hook with one rule may have the rule's keys itself, in place of `rules`.\n")
	section(w, "A rule", rule)
	fmt.Fprint(w, "\nExactly one of `run`, `exec` and `http`. What follows a job (`on_success`, `on_failure`, `on_cancel`) has the keys of an action and `retry`.\n")
	for _, one := range defs["scheme"].AllOf {
		name := one.If.Key("scheme").Const
		own := *one.Then
		own.Properties = slices.DeleteFunc(slices.Clone(own.Properties), func(k config.Key) bool { return k.Name == "scheme" })
		if len(own.Properties) > 0 {
			section(w, "verify: {scheme: "+name+"}", &own)
		}
	}
	section(w, "A test", defs["test"])
}

func section(w io.Writer, title string, s *config.Schema) {
	fmt.Fprintf(w, "\n## %s\n\n| key | meaning | default |\n|---|---|---|\n", title)
	rows(w, "", s)
}

func rows(w io.Writer, above string, s *config.Schema) {
	for _, key := range s.Properties {
		meaning := key.Schema.Description
		if words := key.Schema.Among(); len(words) > 0 && len(words) < 12 {
			meaning += " One of `" + strings.Join(words, "`, `") + "`."
		}
		fallback := ""
		if key.Schema.Default != "" {
			fallback = "`" + key.Schema.Default + "`"
		}
		if slices.Contains(s.Required, key.Name) {
			fallback = "required"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", above+key.Name, strings.ReplaceAll(strings.TrimSpace(meaning), "|", `\|`), fallback)
		rows(w, above+key.Name+".", key.Schema.Mapping())
	}
}
