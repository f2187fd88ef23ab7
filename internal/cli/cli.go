// Package cli is the command line: one file for each subcommand, and this one that puts them
// together. Nothing here exits the process or touches its streams directly, so every command
// can be run from a test.
//
// What a program may read goes to standard output; everything else goes to standard error with
// "tenterhook:" in front. Errors begin in lower case and end without a period; a hint says what
// to do about one. A new subcommand is a field of grammar and a file with its struct, whose
// method is
//
//	Run(e *env) error
//
// with an error made by fail, misuse or broken when its exit status is not 1.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"
)

// The exit statuses: part of the interface.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
)

// grammar is every subcommand and the flags they share, in the order help lists them.
type grammar struct {
	Serve serveCmd `cmd:"" group:"daemon" help:"Run the daemon."`

	Init    initCmd    `cmd:"" group:"write" help:"Write a hooks.yaml with fresh secrets to begin with."`
	Check   checkCmd   `cmd:"" group:"write" help:"Check the configuration; start nothing."`
	Send    sendCmd    `cmd:"" group:"write" help:"Send a signed delivery to a hook, as the real sender would."`
	Explain explainCmd `cmd:"" group:"write" help:"Say what the hooks would do with a request, and why."`

	Providers providersCmd `cmd:"" group:"write" help:"List the senders known by name, or show one."`
	Fmt       fmtCmd       `cmd:"" group:"write" help:"Format hooks.yaml; comments stay."`
	Schema    schemaCmd    `cmd:"" group:"write" help:"Print the JSON Schema of hooks.yaml, for editors."`

	Deliveries deliveriesCmd `cmd:"" group:"look" help:"List and show the deliveries that were taken in."`
	Jobs       jobsCmd       `cmd:"" group:"look" help:"List and show jobs; retry and cancel them."`
	Rejects    rejectsCmd    `cmd:"" group:"look" help:"List the requests that were refused, and why."`
	Audit      auditCmd      `cmd:"" group:"look" help:"List who changed what; verify that nobody changed the list."`
	Status     statusCmd     `cmd:"" group:"look" help:"Show how the daemon is."`
	Nodes      nodesCmd      `cmd:"" group:"look" help:"List the daemons that share a PostgreSQL store."`
	UI         uiCmd         `cmd:"" name:"ui" group:"look" help:"Print a link to the web UI that lets you in once."`

	Register registerCmd `cmd:"" group:"write" help:"Register a hook at its sender, through the sender's API."`

	Doctor doctorCmd `cmd:"" group:"look" help:"Look for what is wrong around the daemon, and say how to mend it."`
	Import importCmd `cmd:"" group:"write" help:"Make hooks.yaml of another program's configuration."`

	Plan       planCmd       `cmd:"" group:"write" help:"Try another configuration on the deliveries that are stored."`
	Configs    configCmd     `cmd:"" name:"config" group:"daemon" help:"Push and list the configuration of nodes that have it from the store."`
	Pause      pauseCmd      `cmd:"" group:"daemon" help:"Let a hook or rule start nothing; what arrives is kept."`
	Resume     resumeCmd     `cmd:"" group:"daemon" help:"Let a paused hook or rule start again."`
	Migrate    migrateCmd    `cmd:"" group:"daemon" help:"Copy a SQLite store into a PostgreSQL database, checked and resumable."`
	Catchup    catchupCmd    `cmd:"" group:"daemon" help:"Take in what a hook's sender sent while nobody listened."`
	Backup     backupCmd     `cmd:"" group:"daemon" help:"Copy the store to a file, checked, while the daemon runs or not."`
	Reload     reloadCmd     `cmd:"" group:"daemon" help:"Make the daemon read its configuration again."`
	Completion completionCmd `cmd:"" group:"other" help:"Print a completion script for your shell."`
	Man        manCmd        `cmd:"" group:"other" help:"Print the man page, or write one for each command."`
	Version    versionCmd    `cmd:"" group:"other" help:"Print the version."`

	Complete completeCmd `cmd:"" hidden:""`

	Config      string      `short:"c" placeholder:"FILE" default:"${config}" help:"Configuration file (default $$TENTERHOOK_CONFIG, else hooks.yaml)."`
	Help        helpFlag    `short:"h" help:"Show help for the command."`
	VersionFlag versionFlag `name:"version" hidden:""`
}

const about = `Tenterhook receives webhooks and runs commands or sends requests for them.
Every delivery is stored before it is acknowledged.`

// Main runs the command line and returns the exit status. Args are without the program's name;
// environ has the form of os.Environ.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	return run(args, &env{
		ctx: context.Background(), stdin: stdin, stdout: stdout, stderr: stderr, environ: environ,
		now: time.Now, openStore: openStore, every: 300 * time.Millisecond,
	})
}

func run(args []string, e *env) int {
	e.out, e.err = newLook(e.stdout, e.environ), newLook(e.stderr, e.environ)
	var g grammar
	parser, err := newParser(&g, e)
	if err != nil {
		return e.report(fmt.Errorf("build the command line: %w", err))
	}
	if len(args) == 0 {
		return e.reportUsage(parser, args, errNoCommand)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return e.reportUsage(parser, args, err)
	}
	e.config, e.model = g.Config, parser.Model
	return e.report(parsed.Run(e))
}

func newParser(g *grammar, e *env) (*kong.Kong, error) {
	config := e.getenv("TENTERHOOK_CONFIG")
	if config == "" {
		config = "hooks.yaml"
	}
	return kong.New(g,
		kong.Name("tenterhook"), kong.Description(about), kong.NoDefaultHelp(),
		kong.Vars{"config": config}, kong.Writers(e.stdout, e.stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100, FlagsLast: true}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "daemon", Title: "The daemon:"},
			{Key: "write", Title: "While you write hooks.yaml:"},
			{Key: "look", Title: "What happened:"},
			{Key: "other", Title: "Other:"},
			{Key: "commands", Title: "Commands:"},
		}))
}

// failure is an error with its exit status and what to do about it. With a nil err everything
// was said already, and only the status is left.
type failure struct {
	status int
	err    error
	hints  []string
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit status %d", f.status)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// fail makes an error of exit status 1 with hints.
func fail(err error, hints ...string) error { return &failure{exitFailed, err, hints} }

// misuse makes an error of exit status 2 with hints.
func misuse(err error, hints ...string) error { return &failure{exitUsage, err, hints} }

// broken makes an error of exit status 3: the configuration has problems.
func broken(err error, hints ...string) error { return &failure{exitConfig, err, hints} }

// said makes an error of which everything was printed already.
func said(status int) error { return &failure{status: status} }

// report prints err and returns its exit status.
func (e *env) report(err error) int {
	if err == nil {
		return exitOK
	}
	f := &failure{status: exitFailed, err: err}
	errors.As(err, &f)
	if f.err == nil {
		return f.status
	}
	e.say("%s %s", e.err.paint(red, "error:"), printable(err.Error()))
	for _, hint := range f.hints {
		e.say("%s %s", e.err.paint(faint, "hint:"), printable(hint))
	}
	return f.status
}

// say prints one line of talk.
func (e *env) say(format string, a ...any) {
	fmt.Fprintf(e.stderr, "tenterhook: "+format+"\n", a...)
}
