package expression

import (
	"slices"
	"strings"
)

// name is something of a delivery that expressions can mention. It is read when it is used.
type name struct {
	kind kind // unknown where it differs or may be missing
	read func(b *budget) (any, error)
}

// names are all names; fields of delivery and job are names of their own, so that mentioning
// one does not build the others.
var names map[string]name

func init() { // the readers refer to evaluation, which refers to names
	fact := func(read func(*Input) any) func(*budget) (any, error) {
		return func(b *budget) (any, error) { return read(b.in), nil }
	}
	git := func(read func(*GitFacts) any) func(*budget) (any, error) {
		return func(b *budget) (any, error) {
			facts, err := b.gitFacts()
			if err != nil {
				return nil, err
			}
			return read(facts), nil
		}
	}
	names = map[string]name{
		"event":         {text, fact(func(in *Input) any { return in.Event })},
		"hook":          {text, fact(func(in *Input) any { return in.Hook })},
		"method":        {text, fact(func(in *Input) any { return in.request().Method })},
		"path":          {text, fact(func(in *Input) any { return in.request().Path })},
		"ip":            {text, fact(func(in *Input) any { return in.ip() })},
		"headers":       {mapping, fact(func(in *Input) any { return headerMap(in.request().Header) })},
		"query":         {mapping, fact(func(in *Input) any { return in.query() })},
		"params":        {mapping, fact(func(in *Input) any { return in.params() })},
		"payload":       {unknown, (*budget).payload},
		"form":          {unknown, (*budget).form},
		"body":          {text, (*budget).body},
		"branch":        {text, git(func(g *GitFacts) any { return g.Branch })},
		"tag":           {text, git(func(g *GitFacts) any { return g.Tag })},
		"repo":          {text, git(func(g *GitFacts) any { return g.Repo })},
		"sha":           {text, git(func(g *GitFacts) any { return g.SHA })},
		"actor":         {text, git(func(g *GitFacts) any { return g.Actor })},
		"changed_files": {list, (*budget).changedFiles},
		"commits":       {list, (*budget).commits},

		"delivery":             {mapping, fact(func(in *Input) any { return in.delivery() })},
		"delivery.id":          {text, fact(func(in *Input) any { return in.DeliveryID })},
		"delivery.key":         {text, fact(func(in *Input) any { return in.DeliveryKey })},
		"delivery.received_at": {instant, fact(func(in *Input) any { return in.ReceivedAt })},

		"job":           {mapping, fact(func(in *Input) any { return in.Job.mapping() })},
		"job.id":        {text, fact(func(in *Input) any { return in.Job.field("id") })},
		"job.error":     {text, fact(func(in *Input) any { return in.Job.field("error") })},
		"job.output":    {text, fact(func(in *Input) any { return in.Job.field("output") })},
		"job.exit_code": {number, fact(func(in *Input) any { return in.Job.field("exit_code") })},
		"attempt":       {number, fact(func(in *Input) any { return in.Job.field("attempt") })},
	}
}

// isName reports whether a word is a name of the language, without its fields.
func isName(word string) bool {
	_, known := names[word]
	return known && !strings.Contains(word, ".")
}

// fieldsOf are the fields of a name whose fields are known; nil for any other.
func fieldsOf(base string) []string {
	var out []string
	for n := range names {
		if field, ok := strings.CutPrefix(n, base+"."); ok {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return out
}

// afterJob are the names that are known only after a job has ended.
func afterJob(word string) bool { return word == "job" || word == "attempt" }

// loops are what the functions that take a condition or value for each element give. The
// others the library has are refused: they can be made to run away, and findLast leaves
// something on the machine's stack.
var loops = map[string]kind{
	"all": condition, "none": condition, "any": condition, "one": condition,
	"filter": list, "map": list, "count": number, "sum": number,
	"find": unknown, "findIndex": number, "reduce": unknown,
}

// isTaken reports whether a word means something, so that nobody may define it.
func isTaken(word string) bool {
	_, isLoop := loops[word]
	return isName(word) || isLoop || functions[word].run != nil
}
