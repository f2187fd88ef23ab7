package ui

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/store"
)

// benchRecent is how many of the latest deliveries the test bench offers.
const benchRecent = 30

// benchData is the test bench: a stored delivery or a pasted request, a rule, another condition,
// and what comes of them.
type benchData struct {
	Recent  []job.Delivery
	Hooks   []admin.HookInfo
	From    string // id of a delivery, or "" for Request
	Request string
	Target  string // hook/rule that Match is tried with, "" for all rules as they are
	Match   string
	Result  *benchResult
	Wrong   *problem // Match cannot be compiled
	Error   string
	Now     time.Time
}

// benchResult is what the rules make of it.
type benchResult struct {
	hook.Explanation
	Stored bool // a delivery that was verified when it came
	Tried  bool // with another condition
	Rules  []benchRule
}

type benchRule struct {
	Rule, Error, Match, Lane string
	Verdict                  job.Verdict
	Values                   []shownValue
	Action                   template.HTML
}

// bench shows the test bench. A link can fill it in; what is tried is posted, since a request may
// be large, and changes nothing either way. As in the API, it takes the scope run.
func (u *UI) bench(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	q := r.URL.Query()
	if r.Method == http.MethodPost {
		q = r.PostForm
	}
	data := benchData{Hooks: u.backend.Hooks(), From: q.Get("delivery"), Request: strings.ReplaceAll(q.Get("request"), "\r\n", "\n"), Target: q.Get("rule"), Match: q.Get("match"), Now: v.now}
	var err error
	if data.Recent, err = u.backend.Deliveries(ctx, store.Filter{Limit: benchRecent}); err != nil {
		return nil, err
	}
	if data.From == "" && data.Request == "" && r.Method == http.MethodGet && len(data.Recent) > 0 {
		data.From = data.Recent[0].ID
	}
	data.offer(ctx, u.backend)
	if !q.Has("match") || q.Get("was") != data.Target { // another rule was picked: its own condition
		data.Match = data.condition()
	}
	if !v.session.Scope.Has(admin.ScopeRun) {
		data.Error = "Your login is for reading only: trying something needs the scope run."
	} else if err := u.try(ctx, &data); err != nil {
		return nil, err
	}
	return &view{name: "bench", title: "Test bench", nav: "bench", data: data}, nil
}

// offer adds the delivery that was asked for to those that can be picked.
func (d *benchData) offer(ctx context.Context, b Backend) {
	if d.From == "" || slices.ContainsFunc(d.Recent, func(one job.Delivery) bool { return one.ID == d.From }) || !isID(d.From) {
		return
	}
	if one, err := b.Delivery(ctx, d.From); err == nil { // try tells what is wrong
		d.Recent = append([]job.Delivery{one}, d.Recent...)
	}
}

// condition is the one that the picked rule has.
func (d *benchData) condition() string {
	hookName, rule, _ := strings.Cut(d.Target, "/")
	for _, h := range d.Hooks {
		for _, r := range h.Rules {
			if h.Name == hookName && r.Name == rule {
				return r.Match
			}
		}
	}
	return ""
}

// try explains what was picked. What is wrong with it is shown, and no error.
func (u *UI) try(ctx context.Context, d *benchData) error {
	if d.From == "" && d.Request == "" {
		return nil
	}
	q := admin.ExplainRequest{}
	hookName, rule, picked := strings.Cut(d.Target, "/")
	if picked {
		q.Hook, q.Rule, q.Match = hookName, rule, &d.Match
		if strings.TrimSpace(d.Match) == "" {
			always := "true"
			q.Match = &always
		}
	}
	if d.From != "" {
		q.Delivery = d.From
	} else {
		file, err := parseRequest(d.Request)
		if err != nil {
			d.Error = "The request cannot be read: " + err.Error() + "."
			return nil
		}
		q.Request = file
	}
	if err := q.Check(); err != nil {
		d.Error = upperFirst(err.Error()) + "."
		return nil
	}
	x, err := u.backend.Explain(ctx, q)
	return d.take(x, err)
}

// placed is the error of an expression, with its place in bytes.
type placed interface {
	error
	Where() (offset, width int)
	Advice() []string
}

func (d *benchData) take(x hook.Explanation, err error) error {
	var wrong placed
	switch {
	case errors.As(err, &wrong):
		offset, width := wrong.Where()
		offset = min(max(offset, 0), len(d.Match))
		end := min(offset+max(width, 1), len(d.Match))
		d.Wrong = &problem{
			Diagnostic: admin.Diagnostic{Message: wrong.Error(), Hints: wrong.Advice()},
			Before:     d.Match[:offset], At: d.Match[offset:end], After: d.Match[end:],
		}
		return nil
	case errors.Is(err, store.ErrNotFound):
		d.Error = "There is no such delivery (any more)."
		return nil
	case errors.Is(err, admin.ErrRefused):
		d.Error = upperFirst(err.Error()) + "."
		return nil
	case err != nil:
		return err
	}
	d.Result = &benchResult{Explanation: x, Stored: d.From != "", Tried: d.Target != ""}
	for i := range x.Rules {
		r := &x.Rules[i]
		d.Result.Rules = append(d.Result.Rules, benchRule{
			Rule: r.Rule, Verdict: r.Verdict, Error: r.Error, Values: shownValues(r), Action: actionHTML(r.Action), Lane: r.ConcurrencyKey,
		})
	}
	return nil
}

var errNoRequestLine = errors.New("it begins with a line such as POST /path, or is the JSON that explain --request takes")

// parseRequest reads a request as people paste it: the JSON of explain --request, or a request
// line, headers, an empty line and the body.
func parseRequest(text string) (*request.File, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		var file request.File
		if err := json.Unmarshal([]byte(text), &file, json.RejectUnknownMembers(true)); err != nil {
			return nil, err
		}
		return &file, nil
	}
	head, body, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n\n")
	lines := strings.Split(head, "\n")
	words := strings.Fields(lines[0])
	if len(words) < 2 || !strings.HasPrefix(words[1], "/") {
		return nil, errNoRequestLine
	}
	file := &request.File{Method: words[0], URL: words[1], Headers: map[string]request.Values{}, Body: &body}
	if _, err := url.Parse(file.URL); err != nil {
		return nil, err
	}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, errors.New("the header " + clean(line) + " has no colon")
		}
		file.Headers[name] = append(file.Headers[name], strings.TrimSpace(value))
	}
	return file, nil
}
