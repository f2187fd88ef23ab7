package job

import (
	"slices"
	"strings"
)

// Site says on which of several nodes a job can run: on the one that is named, with a label on
// those that have it, with both only where both are true. The zero Site is any node.
type Site struct{ Node, Label string }

// Somewhere is the Target of a job that is for each node with a label, and that met none. No node
// can be called so.
const Somewhere = "*"

// String says it in words, "" for any node.
func (s Site) String() string {
	switch {
	case s.Node == Somewhere || s.Node == "" && s.Label != "":
		return "a node with the label " + s.Label
	case s.Label != "":
		return "node " + s.Node + " with the label " + s.Label
	case s.Node != "":
		return "node " + s.Node
	}
	return ""
}

// Has reports whether a node of this name and with these labels is such a place.
func (s Site) Has(name string, labels []string) bool {
	if s.Node != "" && s.Node != name {
		return false
	}
	for _, l := range labels {
		if l == s.Label {
			return true
		}
	}
	return s.Label == ""
}

// Spread makes of each job whose rule runs on every node of a label one for each of the nodes,
// whose names are given. The first keeps the job's ID. Where there is none, the job waits Somewhere.
// What they make together is told by their Delivery, Rule and CreatedAt.
func Spread(jobs []Job, nodes func(label string) []string) []Job {
	if !slices.ContainsFunc(jobs, func(j Job) bool { return j.Every != "" }) {
		return jobs
	}
	var out []Job
	for i := range jobs {
		j := jobs[i]
		if j.Every == "" {
			out = append(out, j)
			continue
		}
		names := nodes(j.Every)
		if j.Every = ""; len(names) == 0 {
			j.Target = Somewhere
			j.Reason = "waits for " + Site{Node: Somewhere, Label: jobs[i].Every}.String() + ": there is none yet"
			out = append(out, j)
		}
		for n, name := range names {
			one := j.For(name)
			if n > 0 {
				one.ID = NewID()
			}
			out = append(out, one)
		}
	}
	return out
}

// For is the job as it is for one of several nodes: what its controls count is the node's own.
func (j Job) For(node string) Job {
	own := " on " + node
	if j.Target != "" && j.Target != Somewhere {
		j = j.without(" on " + j.Target)
	}
	j.Target = node
	for _, key := range j.ownKeys() {
		if *key != "" {
			*key += own
		}
	}
	return j
}

func (j Job) without(suffix string) Job {
	for _, key := range j.ownKeys() {
		*key = strings.TrimSuffix(*key, suffix)
	}
	return j
}

func (j *Job) ownKeys() []*string {
	return []*string{&j.ConcurrencyKey, &j.Keys.Once, &j.Keys.Sequence, &j.Keys.RateLimit, &j.Keys.Debounce, &j.Keys.Throttle}
}
