// Package action runs what a rule declares: a command or an HTTP request, one file for each
// kind. An action is compiled once and immutable; for each attempt it is rendered (Prepare) and
// run (Run). What a payload holds reaches it as values only: environment, arguments, standard
// input, files, fields of a request; never as text of a program.
package action

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

// Action is what a rule runs. It is immutable and safe for concurrent use.
type Action interface {
	// Kind is the YAML key: run, exec or http.
	Kind() string
	Timeout() time.Duration
	// OutputLimit is how many bytes of output are kept, half from its head, half from its tail.
	OutputLimit() int
	// Retry is what the kind does when the rule does not say: commands are tried once.
	Retry() job.RetryPolicy
	// Survives reports whether a run lives on when the daemon ends.
	Survives() bool
	// Prepare renders the action for one attempt. An error means that it cannot run, now or
	// later, with these values.
	Prepare(in *expression.Input, f Facts) (Prepared, error)
}

// Facts identify an attempt to its action.
type Facts struct {
	Job, Delivery, Hook, Rule, Event string
	Attempt                          int
	RunDir                           string // existing private folder in which the attempt gets one of its own
	Shared                           string // Dirs.Shared
	SurviveDir                       string // folder for runs that survive the daemon, "" when none can
	LogDir                           string // folder for whole outputs, "" when they are not kept
	Step                             string // of a follow-up, "" otherwise
	Burst                            []byte // a JSON array of payloads, which takes the place of the body; nil for none
}

// Prepared is an action with its values. It is run at most once.
type Prepared interface {
	// Describe is what would run, for people: rendered, with secrets masked.
	Describe() map[string]any
	// Run runs it and writes its output to out. It ends when ctx does: a command's process tree
	// is then ended, by SIGTERM, after the grace time by SIGKILL, before Run returns.
	Run(ctx context.Context, out io.Writer) Result
}

// Why a run was ended from outside: the cause of its context.
var (
	ErrCancelled = errors.New("cancelled")
	ErrStopping  = errors.New("stopped with the daemon")
)

// Result is how a run ended. Err is nil when it succeeded.
type Result struct {
	ExitCode   *int
	Signal     string // that ended the process, such as SIGKILL
	Status     int    // of an HTTP answer
	Err        error
	Final      bool          // a further attempt would end the same
	RetryAfter time.Duration // that the other side asked for
	TimedOut   bool
	Leftovers  int  // processes that were left over and ended
	Apart      bool // it has a folder among the survivors, to be forgotten when its end is recorded
	Detached   bool // it has not ended: the daemon stops, and the run lives on
}

// Dirs are where runs keep files.
type Dirs struct {
	Run     string // existing private folder for the files of running attempts
	Shared  string // names the daemon in folders that are not its own alone; the same at each start
	Survive string // private folder for runs with survive: true; made when it is needed
	Log     string // private folder for the whole output of commands with limits.log; made when it is needed
}

// Kind is a way to act. Each is one file, which registers it.
type Kind struct {
	Name string // its key in a rule
	Doc  string
	// New reads its keys from a rule's mapping, reports problems into c.Diagnostics, and
	// returns nil after one that leaves nothing to run.
	New func(m *config.Map, rule config.Node, c Context) Action
	// Keys describes what New reads.
	Keys func() *config.Schema
}

// Context is what an action is compiled with.
type Context struct {
	Dir         string // folder of the configuration: where relative paths start
	Scope       expression.Scope
	Diagnostics *config.Diagnostics
	Hook, Rule  string
	Mask        *Masks // of values that are never shown; nil: none
}

var kinds []Kind

// register adds a kind. It is called by the kinds' own files.
func register(k Kind) {
	kinds = append(kinds, k)
	slices.SortFunc(kinds, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
}

// Kinds returns the kinds by name.
func Kinds() []Kind { return kinds }

// Compile makes the action of a rule. A rule has exactly one: none or two are a problem, and
// the result is nil.
func Compile(m *config.Map, rule config.Node, c Context) Action {
	var found []Kind
	for _, k := range kinds {
		if m.Has(k.Name) {
			found = append(found, k)
		}
		m.Know(k.Name)
	}
	switch len(found) {
	case 1:
		return found[0].New(m, rule, c)
	case 0:
		m.Know(commandKeys...)
		c.Diagnostics.Errorf(rule, "nothing to do: a rule has an action").Hint("one of: %s", kindNames())
	default:
		m.Know(commandKeys...)
		c.Diagnostics.Errorf(rule.Key(found[1].Name), "a rule has one action, found %s and %s", found[0].Name, found[1].Name).
			Hint("write two rules, or call both from one script")
	}
	return nil
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

// template compiles a template and places its problems.
func template(t config.Text, c Context) *expression.Template {
	compiled, _ := config.Compile(t, c.Diagnostics, func(source string) (*expression.Template, error) {
		return expression.CompileTemplateWhere(source, c.Scope, t.Written)
	})
	return compiled
}
