package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// manCmd is "man".
type manCmd struct {
	Dir      string `arg:"" optional:"" placeholder:"DIR" help:"Folder to write every page to; without one the program's page is printed."`
	Markdown bool   `hidden:"" help:"Print the page of the documentation."`
}

// Help is the longer text of the command.
func (manCmd) Help() string {
	return `Prints the program's man page, or writes one for each command into a folder.

    tenterhook man | man -l -
    tenterhook man /usr/local/share/man/man1`
}

// Run prints or writes.
func (c manCmd) Run(e *env) error {
	m := manualOf(e.model)
	switch {
	case c.Markdown:
		commandsPage(e.stdout, m)
		return nil
	case c.Dir == "":
		m.roff(e.stdout)
		return nil
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", c.Dir, err)
	}
	pages := m.all()
	for _, page := range pages {
		var text strings.Builder
		page.roff(&text)
		path := filepath.Join(c.Dir, page.page()+".1")
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	e.say("%s in %s", count(len(pages), "page", "pages"), printable(c.Dir))
	return nil
}

// page is the name of the man page: tenterhook-jobs-list.
func (m *manual) page() string { return strings.ReplaceAll(m.path, " ", "-") }

// roff writes the man page.
func (m *manual) roff(w io.Writer) {
	fmt.Fprintf(w, ".TH %s 1 \"\" \"Tenterhook\" \"Tenterhook\"\n.nh\n.ad l\n.SH NAME\n%s \\- %s\n", quoteRoff(strings.ToUpper(m.page())), escapeRoff(m.page()), escapeRoff(firstSentence(m.summary)))
	path, rest, _ := strings.Cut(m.synopsis, " [flags]")
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n[\\fIflags\\fR]%s\n.SH DESCRIPTION\n", escapeRoff(path), escapeRoff(rest))
	if len(m.text) == 0 || len(m.commands) > 0 {
		fmt.Fprintln(w, escapeRoff(oneLine(m.summary)))
	}
	if m.alone != "" {
		fmt.Fprintf(w, ".PP\nAlone it is\n.BR \"%s\" .\n", escapeRoff(m.alone))
	}
	for _, b := range m.text {
		if b.code {
			fmt.Fprintf(w, ".PP\n.RS 4\n.nf\n%s\n.fi\n.RE\n", escapeRoff(b.text))
		} else {
			fmt.Fprintf(w, ".PP\n%s\n", escapeRoff(b.text))
		}
	}
	var commands, see []entry
	for _, c := range m.commands {
		commands = append(commands, entry{strings.TrimPrefix(c.path, m.path+" "), c.summary})
		see = append(see, entry{name: c.page()})
	}
	roffEntries(w, "COMMANDS", commands)
	roffEntries(w, "ARGUMENTS", m.args)
	roffEntries(w, "OPTIONS", m.flags)
	if strings.Contains(m.path, " ") {
		parent := m.page()[:strings.LastIndexByte(m.page(), '-')]
		see = append([]entry{{name: parent}}, see...)
	} else {
		roffEntries(w, "EXIT STATUS", statuses)
		roffEntries(w, "FILES", []entry{{"hooks.yaml", "The configuration, unless --config or TENTERHOOK_CONFIG names another."}})
		roffEntries(w, "ENVIRONMENT", []entry{
			{"TENTERHOOK_CONFIG", "The configuration file."},
			{"TENTERHOOK_SERVER__LISTEN, TENTERHOOK_ADMIN__LISTEN, …", "Scalars of server, admin and store, in place of the file's."},
			{"NO_COLOR", "No colours at a terminal."},
		})
	}
	for i, s := range see {
		if i == 0 {
			fmt.Fprint(w, ".SH SEE ALSO\n")
		}
		comma := ","
		if i == len(see)-1 {
			comma = ""
		}
		fmt.Fprintf(w, ".BR %s (1)%s\n", escapeRoff(s.name), comma)
	}
}

// firstSentence is a summary as one line of NAME.
func firstSentence(s string) string {
	s, _, _ = strings.Cut(oneLine(s), ". ")
	return strings.TrimPrefix(strings.TrimSuffix(s, "."), "Tenterhook ")
}

func roffEntries(w io.Writer, title string, entries []entry) {
	for i, e := range entries {
		if i == 0 {
			fmt.Fprintf(w, ".SH %s\n", title)
		}
		fmt.Fprintf(w, ".TP\n\\fB%s\\fR\n%s\n", escapeRoff(e.name), escapeRoff(oneLine(e.help)))
	}
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// escapeRoff makes text that roff takes for nothing else.
func escapeRoff(s string) string {
	lines := strings.Split(roffEscapes.Replace(s), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func quoteRoff(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
