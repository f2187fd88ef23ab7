package ui

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// deliveryData is what the page of one delivery shows.
type deliveryData struct {
	job.Delivery
	Headers   []header
	Parsed    body
	Jobs      []job.Job
	Decisions []decision
	Now       time.Time
	Known     bool   // its hook is still configured
	Changed   bool   // another configuration runs than the one that decided
	NoRules   string // why nothing ran, "" when something did
}

// header is one line of a request, or the name of one that was not kept.
type header struct {
	Name, Value string
	Withheld    bool
}

// decision is what one rule said when the delivery came, and what it says now.
type decision struct {
	Rule    string
	Then    job.Verdict // "" when the rule was not there
	Error   string
	Now     job.Verdict // "" when the rule is gone
	NowText string      // its error
	Values  []shownValue
	Action  template.HTML // what would run now
	Lane    string
	Job     *job.Job // the latest of this rule
	Match   string
	Cut     bool // there were more values than are kept
	Anew    bool // the values are those of the rules that run now
	Paused  bool
}

// shownValue is a part of an expression and what it came to.
type shownValue struct {
	Expr  string
	Value string
	Error bool
}

func (u *UI) delivery(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	data, err := u.readDelivery(ctx, r.PathValue("id"), v.now)
	if err != nil {
		return nil, err
	}
	return &view{name: "delivery", title: "Delivery " + short(data.ID), nav: "deliveries", data: data}, nil
}

func (u *UI) readDelivery(ctx context.Context, id string, now time.Time) (*deliveryData, error) {
	if !isID(id) {
		return nil, store.ErrNotFound
	}
	d, err := u.backend.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	data := &deliveryData{Delivery: d, Headers: headers(&d), Parsed: newBody(d.Body), Now: now}
	if data.Jobs, err = u.backend.Jobs(ctx, store.Filter{Delivery: id, Limit: admin.MaxLimit}); err != nil {
		return nil, err
	}
	data.Changed = d.Config != u.backend.Status().Config.Digest
	explained, err := u.backend.ExplainStored(ctx, &d)
	if err == nil {
		data.Known = true
	}
	data.Decisions = u.decisions(&d, explained, data.Jobs)
	data.NoRules = whyNothing(&d, data.Jobs)
	return data, nil
}

func headers(d *job.Delivery) []header {
	var out []header
	for name, values := range d.Header {
		for _, value := range values {
			out = append(out, header{Name: name, Value: value})
		}
	}
	for _, name := range d.Withheld {
		out = append(out, header{Name: name, Withheld: true})
	}
	slices.SortStableFunc(out, func(a, b header) int { return cmpStrings(a.Name, b.Name) })
	return out
}

// decisions puts what was decided then beside what would be decided now, in the order in which
// the rules stand in the file, those that are gone last.
func (u *UI) decisions(d *job.Delivery, now hook.Explanation, jobs []job.Job) []decision {
	var out []decision
	matches := map[string]admin.RuleInfo{}
	for _, h := range u.backend.Hooks() {
		if h.Name == d.Hook {
			for _, rule := range h.Rules {
				matches[rule.Name] = rule
			}
		}
	}
	for _, r := range now.Rules {
		one := decision{
			Rule: r.Rule, Now: r.Verdict, NowText: r.Error, Action: actionHTML(r.Action), Lane: r.ConcurrencyKey,
			Match: matches[r.Rule].Match, Paused: matches[r.Rule].Paused, Values: shownValues(&r), Job: latestOf(jobs, r.Rule),
		}
		out = append(out, one)
	}
	for _, v := range d.Verdicts {
		i := slices.IndexFunc(out, func(o decision) bool { return o.Rule == v.Rule })
		if i < 0 {
			out = append(out, decision{Rule: v.Rule, Job: latestOf(jobs, v.Rule)})
			i = len(out) - 1
		}
		out[i].Then, out[i].Error = v.Verdict, v.Error
		if v.Match != "" || len(v.Values) > 0 { // what was kept with it says why it was decided then
			out[i].Match, out[i].Values, out[i].Cut = v.Match, keptValues(&v), v.Cut
		} else {
			out[i].Anew = len(out[i].Values) > 0
		}
	}
	return out
}

func latestOf(newestFirst []job.Job, rule string) *job.Job {
	for i := range newestFirst {
		if newestFirst[i].Rule == rule {
			return &newestFirst[i]
		}
	}
	return nil
}

func shownValues(r *hook.RuleExplanation) (out []shownValue) {
	for _, v := range r.Values {
		if v.Error != "" {
			out = append(out, shownValue{v.Expr, v.Error, true})
			continue
		}
		text, err := json.Marshal(v.Value, json.Deterministic(true))
		if err != nil {
			text = []byte(fmt.Sprint(v.Value))
		}
		out = append(out, shownValue{v.Expr, string(text), false})
	}
	return out
}

// keptValues are those that were kept with the delivery.
func keptValues(v *job.RuleVerdict) (out []shownValue) {
	for _, one := range v.Values {
		if one.Error != "" {
			out = append(out, shownValue{one.Expr, one.Error, true})
			continue
		}
		out = append(out, shownValue{one.Expr, string(one.Value), false})
	}
	return out
}

// actionHTML is what would run, as JSON in colours.
func actionHTML(action map[string]any) template.HTML {
	if action == nil {
		return ""
	}
	text, err := json.Marshal(action, json.Deterministic(true), jsontext.WithIndent("  "), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return ""
	}
	return colorJSON(text)
}

// whyNothing says in words why a delivery started nothing.
func whyNothing(d *job.Delivery, jobs []job.Job) string {
	if len(jobs) > 0 {
		return ""
	}
	failed := 0
	for _, v := range d.Verdicts {
		if v.Verdict == job.Error {
			failed++
		}
	}
	switch {
	case len(d.Verdicts) == 0:
		return "The hook had no rules when it came."
	case failed > 0:
		return plural(failed, "rule", "rules") + " could not be evaluated, and no other matched."
	case d.Outcome == job.Accepted:
		return "Its jobs are no longer kept."
	}
	return "It was accepted, but no rule matched it."
}

// deliveryBody answers the raw body, never under the content type its sender chose: what a
// stranger sent must not become a page of this origin.
func (u *UI) deliveryBody(r *http.Request, v *visit) (*view, error) {
	id := r.PathValue("id")
	if !isID(id) {
		return nil, store.ErrNotFound
	}
	d, err := u.backend.Delivery(r.Context(), id)
	if err != nil {
		return nil, err
	}
	v.w.Header().Set("Content-Type", "application/octet-stream")
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.body"`)
	_, _ = v.w.Write(d.Body) // a client that went away needs no answer
	return nil, nil
}
