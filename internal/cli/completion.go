package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tenterhook/tenterhook/internal/job"
)

// completionCmd is "completion".
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is the longer text of the command.
func (completionCmd) Help() string {
	return `Examples:

    bash    tenterhook completion bash > /etc/bash_completion.d/tenterhook
    zsh     tenterhook completion zsh > "${fpath[1]}/_tenterhook"
    fish    tenterhook completion fish > ~/.config/fish/completions/tenterhook.fish
`
}

// Run prints the script.
func (c *completionCmd) Run(e *env) error {
	words := spell(e.model)
	switch c.Shell {
	case "bash":
		words.bash(e.stdout)
	case "zsh":
		words.zsh(e.stdout)
	case "fish":
		words.fish(e.stdout)
	}
	return nil
}

// spelling is the command line as completion needs it.
type spelling struct {
	places []place
	valued []option // flags that take a value, each once
}

// place is a point on the command line: after "jobs list", say.
type place struct {
	path     string // "" after the program's name
	asks     string // kind of the words that only the program itself knows: see completeCmd
	commands []option
	flags    []option
}

// option is a word that may come next.
type option struct {
	name   string // without dashes
	short  string // one letter, or ""
	help   string
	value  bool     // takes a value
	values []string // which are known
	file   bool     // which is a file
	asks   string   // kind of its values that only the program itself knows
}

// knownValues are the flags and arguments whose values are words of ours.
var knownValues = map[string][]string{
	"outcome": {string(job.Accepted), string(job.Ignored)},
	"state":   stateNames(),
}

func stateNames() (names []string) {
	for _, s := range job.States {
		names = append(names, string(s))
	}
	return names
}

// spell reads the command line's own model.
func spell(app *kong.Application) *spelling {
	s := &spelling{}
	s.walk(app.Node, "", nil)
	return s
}

func (s *spelling) walk(node *kong.Node, path string, inherited []option) {
	p := place{path: path, flags: append(slices.Clone(inherited), s.flags(node.Flags)...)}
	below := p.flags
	if node.DefaultCmd != nil {
		p.flags = append(slices.Clone(p.flags), s.flags(node.DefaultCmd.Flags)...)
	}
	for _, child := range node.Children {
		if !child.Hidden {
			p.commands = append(p.commands, option{name: child.Name, help: child.Help})
		}
	}
	for _, argument := range node.Positional {
		for _, value := range argument.EnumSlice() {
			p.commands = append(p.commands, option{name: value})
		}
		p.asks = kindOf(argument)
	}
	s.places = append(s.places, p)
	for _, child := range node.Children {
		if !child.Hidden {
			s.walk(child, strings.TrimSpace(path+" "+child.Name), below)
		}
	}
}

func (s *spelling) flags(flags []*kong.Flag) (out []option) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		o := option{name: f.Name, help: f.Help, value: !f.IsBool(), values: knownValues[f.Name], file: f.PlaceHolder == "FILE", asks: kindOf(f.Value)}
		if f.Short != 0 {
			o.short = string(f.Short)
		}
		out = append(out, o)
		if o.value && !slices.ContainsFunc(s.valued, func(v option) bool { return v.name == o.name }) {
			s.valued = append(s.valued, o)
		}
	}
	return out
}

// kindOf is what a value is, when the program knows which there are: hooks, jobs, files.
func kindOf(v *kong.Value) string {
	if v.Tag == nil {
		return ""
	}
	if v.Tag.PlaceHolder == "FILE" || v.Tag.PlaceHolder == "DIR" {
		return "files"
	}
	return v.Tag.Get("complete")
}

// steps are the patterns of "place word" that lead to another place.
func (s *spelling) steps(quote func(string) string) []string {
	var steps []string
	for _, p := range s.places {
		if p.path == "" {
			continue
		}
		from, word := "", p.path
		if i := strings.LastIndexByte(p.path, ' '); i >= 0 {
			from, word = p.path[:i], p.path[i+1:]
		}
		steps = append(steps, quote(from+" "+word))
	}
	return steps
}

// spellings are the ways to write a flag.
func (o option) spellings() []string {
	if o.short == "" {
		return []string{"--" + o.name}
	}
	return []string{"--" + o.name, "-" + o.short}
}

func (s *spelling) bash(w io.Writer) {
	fmt.Fprint(w, `# tenterhook completion for bash
_tenterhook() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= words= asks= conf=() i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${COMP_WORDS[i]}" in -c|--config) conf=(-c "${COMP_WORDS[i+1]}") ;; esac
        case "$at ${COMP_WORDS[i]}" in
`)
	fmt.Fprintf(w, "        %s) at=\"${at:+$at }${COMP_WORDS[i]}\" ;;\n        esac\n    done\n    case \"$prev\" in\n", strings.Join(s.steps(shellQuote), "|"))
	for _, o := range s.valued {
		reply := "return"
		switch {
		case o.file:
			reply = `COMPREPLY=($(compgen -f -- "$cur")); return`
		case o.values != nil:
			reply = fmt.Sprintf(`COMPREPLY=($(compgen -W %s -- "$cur")); return`, shellQuote(strings.Join(o.values, " ")))
		case o.asks != "":
			reply = fmt.Sprintf(`COMPREPLY=($(compgen -W "$(tenterhook "${conf[@]}" complete %s 2>/dev/null | cut -f1)" -- "$cur")); return`, o.asks)
		}
		fmt.Fprintf(w, "    %s) %s ;;\n", strings.Join(o.spellings(), "|"), reply)
	}
	fmt.Fprint(w, "    esac\n    case \"$at\" in\n")
	for _, p := range s.places {
		var words []string
		for _, o := range p.commands {
			words = append(words, o.name)
		}
		for _, o := range p.flags {
			words = append(words, "--"+o.name)
		}
		fmt.Fprintf(w, "    %s) words=%s asks=%s ;;\n", shellQuote(p.path), shellQuote(strings.Join(words, " ")), p.asks)
	}
	fmt.Fprint(w, `    esac
    case "$asks" in
    files) COMPREPLY=($(compgen -f -- "$cur")) ;;
    ?*) words="$words $(tenterhook "${conf[@]}" complete "$asks" 2>/dev/null | cut -f1)" ;;
    esac
    COMPREPLY+=($(compgen -W "$words" -- "$cur"))
}
complete -F _tenterhook tenterhook
`)
}

func (s *spelling) zsh(w io.Writer) {
	fmt.Fprint(w, `#compdef tenterhook
compdef _tenterhook tenterhook

_tenterhook() {
    local at='' asks='' i
    local -a found conf
    for ((i = 2; i < CURRENT; i++)); do
        case "${words[i]}" in (-c|--config) conf=(-c "${words[i+1]}") ;; esac
        case "$at ${words[i]}" in
`)
	fmt.Fprintf(w, "        (%s) at=\"${at:+$at }${words[i]}\" ;;\n        esac\n    done\n    case \"${words[CURRENT-1]}\" in\n", strings.Join(s.steps(shellQuote), "|"))
	for _, o := range s.valued {
		reply := "return"
		switch {
		case o.file:
			reply = "_files; return"
		case o.values != nil:
			reply = "compadd -- " + strings.Join(o.values, " ") + "; return"
		case o.asks != "":
			reply = "_tenterhook_ask " + o.asks + "; return"
		}
		fmt.Fprintf(w, "    (%s) %s ;;\n", strings.Join(o.spellings(), "|"), reply)
	}
	fmt.Fprint(w, "    esac\n    case \"$at\" in\n")
	for _, p := range s.places {
		fmt.Fprintf(w, "    (%s) found=(\n", shellQuote(p.path))
		for _, o := range p.commands {
			fmt.Fprintf(w, "        %s\n", shellQuote(described(o.name, o.help)))
		}
		for _, o := range p.flags {
			fmt.Fprintf(w, "        %s\n", shellQuote(described("--"+o.name, o.help)))
		}
		fmt.Fprintf(w, "        ) asks=%s ;;\n", p.asks)
	}
	fmt.Fprint(w, `    esac
    case "$asks" in
    (files) _files ;;
    (?*) _tenterhook_ask "$asks" ;;
    esac
    _describe -t words tenterhook found
}

# What only the program itself knows: hooks, ids.
_tenterhook_ask() {
    local -a known
    known=("${(@f)$(tenterhook "${conf[@]}" complete "$1" 2>/dev/null | sed 's/:/\\:/g; s/	/:/')}")
    [ -n "$known[1]" ] && _describe -t known "$1" known
}

# Loaded from fpath this file is the function itself.
if [ "$funcstack[1]" = "_tenterhook" ]; then
    _tenterhook "$@"
fi
`)
}

// described is a word and its meaning as _describe reads them.
func described(word, help string) string {
	if help == "" {
		return word
	}
	return word + ":" + help
}

func (s *spelling) fish(w io.Writer) {
	fmt.Fprintf(w, `# tenterhook completion for fish
function __tenterhook_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case %s
                set at (string trim -- "$at $word")
        end
    end
    test "$at" = "$argv[1]"
end
# What only the program itself knows: hooks, ids.
function __tenterhook_ask
    set -l conf
    set -l words (commandline -opc)
    for i in (seq (count $words))
        contains -- $words[$i] -c --config; and set conf -c $words[(math $i + 1)]
    end
    tenterhook $conf complete $argv[1] 2>/dev/null
end
complete -c tenterhook -f
`, strings.Join(s.steps(fishQuote), " "))
	for _, p := range s.places {
		when := fishQuote("__tenterhook_at " + fishQuote(p.path))
		for _, o := range p.commands {
			fmt.Fprintf(w, "complete -c tenterhook -n %s -a %s -d %s\n", when, o.name, fishQuote(o.help))
		}
		switch p.asks {
		case "":
		case "files":
			fmt.Fprintf(w, "complete -c tenterhook -n %s -F\n", when)
		default:
			fmt.Fprintf(w, "complete -c tenterhook -n %s -a %s\n", when, fishQuote("(__tenterhook_ask "+p.asks+")"))
		}
		for _, o := range p.flags {
			fmt.Fprintf(w, "complete -c tenterhook -n %s -l %s", when, o.name)
			if o.short != "" {
				fmt.Fprintf(w, " -s %s", o.short)
			}
			switch {
			case o.file:
				fmt.Fprint(w, " -r -F")
			case o.asks != "":
				fmt.Fprintf(w, " -x -a %s", fishQuote("(__tenterhook_ask "+o.asks+")"))
			case o.value:
				fmt.Fprintf(w, " -x -a %s", fishQuote(strings.Join(o.values, " ")))
			}
			fmt.Fprintf(w, " -d %s\n", fishQuote(o.help))
		}
	}
}

// shellQuote quotes for bash and zsh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote quotes for fish.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
