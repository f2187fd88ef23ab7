package hook

import (
	"cmp"
	"regexp"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
)

// On is where a rule's jobs run among several nodes. The zero On is any node.
type On struct {
	Label string
	Every bool // a job for each node with the label, else one of them runs the one there is
}

// String says it in words.
func (o On) String() string {
	switch {
	case o.Every:
		return "each node with the label " + o.Label
	case o.Label != "":
		return "one node with the label " + o.Label
	}
	return "any node"
}

type onSpec struct {
	Label config.Text `yaml:"label" doc:"One of the nodes that have this label runs the job."`
	Every config.Text `yaml:"every" doc:"Each node that has this label runs a job of its own, once; its flow controls are of its own, too. A node that comes later catches up within start_within, by default 1h."`
}

// everyWithin is how long a node that comes late catches up when its rule does not say.
const everyWithin = time.Hour

// on reads where the rule's jobs run: the word any, or one of label and every.
func (f flow) on(node config.Node, c Context) {
	if node.IsZero() {
		return
	}
	if node.Kind() != config.KindMap {
		if text := node.Text(f.d); text.Value != "any" {
			f.d.Errorf(text, "on says where the rule's jobs run: any, or {label: …} or {every: …}; found %q", text.Value).
				Hint("on: {label: web} is one node with the label, on: {every: web} is each of them")
		}
		return
	}
	var spec onSpec
	m := node.Map(f.d)
	m.Decode(&spec)
	m.Close()
	switch {
	case spec.Label.Value != "" && spec.Every.Value != "":
		f.d.Errorf(spec.Every, "on has both label and every: a job runs on one node with a label, or there is one for each").Hint("leave one of them out")
		return
	case spec.Label.Value == "" && spec.Every.Value == "" && len(node.Entries()) > 0:
		return // said already
	case spec.Label.Value == "" && spec.Every.Value == "":
		f.d.Errorf(node, "on wants label or every").Hint("on: {label: web} is one node with the label, on: {every: web} is each of them; on: any is the default")
		return
	}
	text := spec.Label
	if f.r.On.Every = spec.Every.Value != ""; f.r.On.Every {
		text = spec.Every
	}
	f.r.On.Label = text.Value
	f.checkLabel(text, c)
	if f.r.On.Every && f.r.controls.StartWithin == 0 {
		f.r.controls.StartWithin = everyWithin
		if burst := f.r.controls.Debounce; burst != nil {
			f.r.controls.StartWithin += burst.MaxWait
		}
	}
}

// checkLabel refuses what is no label, and one that no node can have.
func (f flow) checkLabel(text config.Text, c Context) {
	if !label.MatchString(text.Value) {
		f.d.Errorf(text, "a label wants letters, digits, dots, dashes and underscores, found %q", text.Value)
		return
	}
	if !c.Fleet && !(job.Site{Label: text.Value}).Has("", c.Labels) {
		problem := f.d.Errorf(text, "no node has the label %q: the store is a file, so this daemon is the only node", text.Value)
		if len(c.Labels) > 0 {
			suggest(problem, text.Value, c.Labels)
		}
		problem.Hint("node: {labels: [%s]}, or several nodes on store: {url: postgres://…}", text.Value)
	}
}

// label is what a node's label can be.
var label = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// IsLabel reports whether a text can be a node's label.
func IsLabel(s string) bool { return label.MatchString(s) }

// place sets where a job of the rule can run in its lane. Those of several nodes do not wait for
// one another.
func (r *Rule) place(l *job.Lane, j *job.Job) {
	l.On = job.Site{Node: j.Target, Label: r.On.Label}
	if j.Target == job.Somewhere && !r.On.Every {
		l.On.Node = "" // the rule has changed since: there is one job
	}
	if l.Limit == 0 && j.Target != "" {
		l.Key = cmp.Or(l.Key, j.Target)
	}
}
