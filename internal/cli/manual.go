package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// manual is what there is to say of one command, from the grammar itself: the man pages and
// docs/commands.md are written from it.
type manual struct {
	path     string // tenterhook jobs list
	summary  string // one sentence
	synopsis string
	text     []block
	args     []entry
	flags    []entry // its own; those of every command are the program's
	commands []*manual
	alone    string // the command that the path alone stands for, or ""
}

type entry struct{ name, help string }

// block is a paragraph, or lines to be kept as they are.
type block struct {
	text string
	code bool
}

// manualOf reads the grammar. Hidden commands and flags are left out.
func manualOf(app *kong.Application) *manual { return manualAt(app.Node, "tenterhook") }

func manualAt(node *kong.Node, path string) *manual {
	m := &manual{path: path, summary: strings.TrimSpace(node.Help), text: blocks(node.Detail)}
	for _, f := range node.Flags {
		if !f.Hidden {
			m.flags = append(m.flags, entry{flagName(f), f.Help})
		}
	}
	for _, a := range node.Positional {
		m.args = append(m.args, entry{a.Summary(), a.Help})
	}
	for _, child := range node.Children {
		if !child.Hidden {
			m.commands = append(m.commands, manualAt(child, path+" "+child.Name))
		}
	}
	if node.DefaultCmd != nil {
		m.alone = path + " " + node.DefaultCmd.Name
	}
	m.synopsis = synopsis(m, node)
	return m
}

func synopsis(m *manual, node *kong.Node) string {
	words := []string{m.path}
	if len(m.commands) > 0 {
		words = append(words, "COMMAND")
	}
	words = append(words, "[flags]")
	for _, a := range node.Positional {
		words = append(words, a.Summary())
	}
	return strings.Join(words, " ")
}

func flagName(f *kong.Flag) string {
	name := "--" + f.Name
	if f.Tag != nil && f.Negated {
		name = "--[no-]" + f.Name
	}
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	if !f.IsBool() && !f.IsCounter() {
		name += "=" + f.FormatPlaceHolder()
	}
	return name
}

// blocks takes a help text apart: lines that are set in are kept as they are.
func blocks(text string) (out []block) {
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		lines := strings.Split(part, "\n")
		code := !slices.ContainsFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "  ") })
		if code {
			for i := range lines {
				lines[i] = strings.TrimPrefix(strings.TrimPrefix(lines[i], "  "), "  ")
			}
			part = strings.Join(lines, "\n")
		}
		switch {
		case strings.TrimSpace(part) == "":
		case code && len(out) > 0 && out[len(out)-1].code:
			out[len(out)-1].text += "\n\n" + part
		default:
			out = append(out, block{strings.Trim(part, "\n"), code})
		}
	}
	return out
}

// all is the command and every command below it.
func (m *manual) all() []*manual {
	out := []*manual{m}
	for _, c := range m.commands {
		out = append(out, c.all()...)
	}
	return out
}

// statuses are the exit statuses, for people.
var statuses = []entry{
	{"0", "all is well"},
	{"1", "it failed, or what was asked about is not well"},
	{"2", "the command line is wrong"},
	{"3", "the configuration has problems"},
	{"4", "the daemon cannot be reached"},
}

// commandsPage is docs/commands.md.
func commandsPage(w io.Writer, m *manual) {
	fmt.Fprint(w, "# Commands\n\nThis page is printed by `tenterhook man --markdown`; `tenterhook man DIR` writes the same as man pages.\n\n| command | |\n|---|---|\n")
	for _, c := range m.commands {
		fmt.Fprintf(w, "| [`%s`](#%s) | %s |\n", c.path, strings.ReplaceAll(c.path, " ", "-"), cellText(c.summary))
	}
	fmt.Fprint(w, "\nEvery command has these flags:\n\n")
	markdownEntries(w, m.flags)
	fmt.Fprint(w, "\nThe exit status:\n\n")
	markdownEntries(w, statuses)
	for _, c := range m.all()[1:] {
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n```\n%s\n```\n", c.path, c.summary, c.synopsis)
		if c.alone != "" {
			fmt.Fprintf(w, "\n`%s` alone is `%s`.\n", c.path, c.alone)
		}
		for _, b := range c.text {
			if b.code {
				fmt.Fprintf(w, "\n```\n%s\n```\n", b.text)
			} else {
				fmt.Fprintf(w, "\n%s\n", b.text)
			}
		}
		for _, sub := range c.commands {
			fmt.Fprintf(w, "\n- [`%s`](#%s): %s", sub.path, strings.ReplaceAll(sub.path, " ", "-"), sub.summary)
		}
		if len(c.commands) > 0 {
			fmt.Fprintln(w)
		}
		if len(c.args)+len(c.flags) > 0 {
			fmt.Fprintln(w)
			markdownEntries(w, slices.Concat(c.args, c.flags))
		}
	}
}

func markdownEntries(w io.Writer, entries []entry) {
	fmt.Fprint(w, "| | |\n|---|---|\n")
	for _, e := range entries {
		fmt.Fprintf(w, "| `%s` | %s |\n", cellText(e.name), cellText(e.help))
	}
}

func cellText(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", `\|`)
}
