package action

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
)

// interpreters are programs that run a text they are given, by the option that gives it.
var interpreters = []struct{ name, option *regexp.Regexp }{
	{regexp.MustCompile(`^(ba|da|a|z|k|mk|fi|c|tc|pwsh|power)?sh(ell)?$`), regexp.MustCompile(`^-[a-zA-Z]*c$|^-[cC]ommand$|^--command$`)},
	{regexp.MustCompile(`^pwsh$`), regexp.MustCompile(`^-([cC]|[cC]ommand)$`)},
	{regexp.MustCompile(`^(python|pypy)[0-9.]*$`), regexp.MustCompile(`^-[a-zA-Z]*c$`)},
	{regexp.MustCompile(`^(perl|ruby|lua)[0-9.]*$`), regexp.MustCompile(`^-[a-zA-Z]*[eE]$`)},
	{regexp.MustCompile(`^(node|nodejs|bun|deno)$`), regexp.MustCompile(`^(-e|-p|-pe|--eval|--print|eval)$`)},
	{regexp.MustCompile(`^php[0-9.]*$`), regexp.MustCompile(`^-[rRBE]$`)},
	{regexp.MustCompile(`^(awk|gawk|mawk|sed|jq|eval|expect)$`), nil},
}

// refuseCode refuses an expression where an interpreter takes a program's text: as in run, the
// sender would write it. What follows the text is its arguments, and may be expressions. An
// interpreter may stand behind another program, such as env, sudo or timeout.
func refuseCode(elements []config.Node, argv []*expression.Template, d *config.Diagnostics) {
	for i, t := range argv {
		if t == nil {
			continue
		}
		word, constant := t.Constant()
		if !constant {
			continue
		}
		for _, of := range interpreters {
			if of.name.MatchString(filepath.Base(word)) {
				refuseCodeOf(of.option, elements[i+1:], argv[i+1:], d)
			}
		}
	}
}

func refuseCodeOf(option *regexp.Regexp, elements []config.Node, argv []*expression.Template, d *config.Diagnostics) {
	given := option == nil // the first argument that is no option is the text
	for i, t := range argv {
		if t == nil {
			return
		}
		word, constant := t.Constant()
		switch {
		case given && !constant:
			d.Errorf(elements[i], "this argument is a program's text: an expression in it would let the sender write code").
				Hint("pass the value as a further argument, or in env:, and let the text read it")
			return
		case given && !strings.HasPrefix(word, "-"):
			return
		case constant && option != nil && option.MatchString(word):
			given = true
		case constant && option != nil && !strings.HasPrefix(word, "-"):
			return // a script's file: what follows are its arguments
		}
	}
}
