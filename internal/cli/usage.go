package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tenterhook/tenterhook/internal/config"
)

var (
	errHelp      = errors.New("help is wanted")
	errVersion   = errors.New("the version is wanted")
	errNoCommand = errors.New("no command given")
)

// helpFlag stops the parse, so that help needs no arguments to be right.
type helpFlag bool

// BeforeReset is called by kong when the flag is there.
func (helpFlag) BeforeReset() error { return errHelp }

// IgnoreDefault tells kong that "jobs --help" is not about the command that "jobs" stands for.
func (helpFlag) IgnoreDefault() {}

// versionFlag is --version, for those who try it first.
type versionFlag bool

// BeforeReset is called by kong when the flag is there.
func (versionFlag) BeforeReset() error { return errVersion }

// IgnoreDefault is as with helpFlag.
func (versionFlag) IgnoreDefault() {}

// reportUsage prints what is wrong with a command line, or the help it asked for.
func (e *env) reportUsage(parser *kong.Kong, args []string, err error) int {
	var at *kong.ParseError
	errors.As(err, &at)
	switch {
	case errors.Is(err, errVersion):
		return e.report(versionCmd{}.Run(e))
	case errors.Is(err, errHelp):
		return e.report(e.help(at.Context))
	case errors.Is(err, errNoCommand):
		trace, traceErr := kong.Trace(parser, args)
		if traceErr != nil {
			return e.report(misuse(traceErr))
		}
		trace.Stdout = e.stderr
		if err := e.help(trace); err != nil {
			return e.report(err)
		}
		return exitUsage
	}
	return e.report(usageError(parser, at, err))
}

func (e *env) help(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	node := ctx.Selected()
	switch {
	case node == nil:
		fmt.Fprintln(ctx.Stdout, "\nRun \"tenterhook COMMAND --help\" for the flags and examples of one.")
	case node.DefaultCmd != nil:
		fmt.Fprintf(ctx.Stdout, "\n%q alone is %q.\n", node.FullPath(), node.DefaultCmd.FullPath())
	}
	return nil
}

// usageError turns kong's error into ours: what is wrong, and as a hint what was meant.
func usageError(parser *kong.Kong, at *kong.ParseError, err error) error {
	what, meant, _ := strings.Cut(err.Error(), ", did you mean ")
	var hints []string
	if meant != "" {
		hints = append(hints, "did you mean "+meant)
	}
	path := "tenterhook"
	if at != nil && at.Context != nil {
		if node := at.Context.Selected(); node != nil {
			path = node.FullPath()
		}
	}
	if name, ok := strings.CutSuffix(what, ` value but got "EOL" (<EOL>)`); ok {
		name, _, _ = strings.Cut(name, ": ")
		what = name + " needs a value"
	}
	if name, ok := strings.CutPrefix(what, `expected "`); ok {
		what = strings.TrimSuffix(name, `"`) + " is missing"
	}
	if word, ok := strings.CutPrefix(what, "unexpected argument "); ok {
		what = fmt.Sprintf("unexpected argument %q", word)
		if path == "tenterhook" {
			what = fmt.Sprintf("there is no command %q", word)
		}
		if len(hints) == 0 {
			hints, path = meantWord(parser, at, path, word)
		}
	}
	hints = append(hints, fmt.Sprintf("%q says how it is used", path+" --help"))
	return misuse(errors.New(what), hints...)
}

// meantWord guesses what a word meant that kong took as an argument of a default command: in
// "jobs shwo" it is a misspelt sibling, in "jobs 3f9a2b1c" an id.
func meantWord(parser *kong.Kong, at *kong.ParseError, path, word string) (hints []string, about string) {
	node := parser.Model.Node
	if at != nil && at.Context != nil && at.Context.Selected() != nil {
		node = at.Context.Selected()
		if node.Parent != nil && node.Parent.DefaultCmd == node {
			node = node.Parent
			path = node.FullPath()
		}
	}
	var names []string
	for _, child := range node.Children {
		names = append(names, child.Name)
	}
	if near := config.Suggest(word, names); near != "" {
		return []string{fmt.Sprintf("did you mean %q?", near)}, path
	}
	for _, name := range names {
		if name == "show" && looksLikeID(word) {
			return []string{fmt.Sprintf("to show one: %q", path+" show "+word)}, path
		}
	}
	return nil, path
}
