package ui

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/series"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The bounds of the overview: how many of the latest deliveries are looked through for rules that
// could not be evaluated, and how far back.
const (
	lookThrough = 200
	lookBack    = 24 * time.Hour
	fewRows     = 6
)

// overviewData is what the first page shows.
type overviewData struct {
	Spans     []option
	Hook      string // "" is all of them
	HookNames []string
	Span      string
	Attention []notice
	Cards     []card
	Charts    []chart
	Health    []health
	Latest    []deliveryRow
	Failed    []job.Job
	Empty     bool // nothing was ever delivered
	Sample    string
	Now       time.Time
}

// option is one of several that a link chooses.
type option struct {
	Name, URL string
	On        bool
}

// notice is something that somebody should look at.
type notice struct {
	Class, Icon string
	What        string // in words
	Detail      string
	URL         string
	Link        string
}

// card is a figure with its name.
type card struct {
	Name, Value, Detail string
	Class               string
	URL                 string
}

// health is a hook on the overview.
type health struct {
	admin.HookInfo
	Class, Icon, Word         string
	Spark                     template.HTML
	Deliveries, Failed        int
	Ack                       string
	Last                      time.Time
	WaitsFor, URL, FailedURL  string
	PausedRules, RefusedCount int
}

func (u *UI) overview(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	q := r.URL.Query()
	hooks := u.backend.Hooks()
	chosen := pickSpan(q.Get("span"))
	data := overviewData{Span: chosen.Name, Now: v.now}
	for _, h := range hooks {
		data.HookNames = append(data.HookNames, h.Name)
	}
	if slices.Contains(data.HookNames, q.Get("hook")) {
		data.Hook = q.Get("hook")
	}
	for _, s := range series.Spans {
		link := url.Values{"span": {s.Name}}
		if data.Hook != "" {
			link.Set("hook", data.Hook)
		}
		data.Spans = append(data.Spans, option{s.Name, "/?" + link.Encode(), s.Name == chosen.Name})
	}
	status := u.status(ctx)
	all := u.backend.Series(data.Hook, chosen)
	data.Charts = charts(&all)
	data.Health = u.healths(hooks, chosen, &status)
	recent, err := u.backend.Deliveries(ctx, store.Filter{Limit: lookThrough, Hook: data.Hook})
	if err != nil {
		return nil, err
	}
	// Not by the filter: when nothing came lately, it would look at every delivery there is.
	recent = slices.DeleteFunc(recent, func(d job.Delivery) bool { return d.ReceivedAt.Before(v.now.Add(-lookBack)) })
	data.Attention = u.attention(&status, data.Health, recent, v.now)
	data.Cards = u.cards(&status, &all, v.now)
	if data.Latest, err = u.latest(ctx, data.Hook); err != nil {
		return nil, err
	}
	if data.Failed, err = u.lastFailed(ctx, data.Hook); err != nil {
		return nil, err
	}
	data.Empty = len(data.Latest) == 0
	if len(hooks) > 0 {
		data.Sample = hooks[0].Name
	}
	return &view{name: "overview", title: "Overview", nav: "overview", data: data}, nil
}

// storeWait bounds what one page asks of the store.
const storeWait = 5 * time.Second

func pickSpan(name string) series.Span {
	for _, s := range series.Spans {
		if s.Name == name {
			return s
		}
	}
	return series.Spans[1]
}

func charts(s *series.Series) []chart {
	return []chart{
		bars("Deliveries", s, s.Known,
			layer{"accepted", "accepted", func(p *series.Point) int { return p.Accepted }},
			layer{"ignored", "ignored", func(p *series.Point) int { return p.Ignored }},
			layer{"duplicate", "duplicate", func(p *series.Point) int { return p.Duplicate }},
			layer{"refused", "refused", func(p *series.Point) int { return p.Refused }}),
		bars("Jobs that ended", s, s.Known,
			layer{"failed", "failed", func(p *series.Point) int { return p.Failed }},
			layer{"succeeded", "succeeded", func(p *series.Point) int { return p.Succeeded }}),
		latency("Time to acknowledge", s),
	}
}

func (u *UI) latest(ctx context.Context, hook string) ([]deliveryRow, error) {
	found, err := u.backend.Deliveries(ctx, store.Filter{Limit: fewRows, Hook: hook})
	if err != nil {
		return nil, err
	}
	return u.rows(ctx, found)
}

// lastFailed is the latest jobs that ended badly, in whichever way.
func (u *UI) lastFailed(ctx context.Context, hook string) ([]job.Job, error) {
	var all []job.Job
	for _, state := range []job.State{job.Failed, job.TimedOut, job.Interrupted} {
		found, err := u.backend.Jobs(ctx, store.Filter{Limit: fewRows, State: state, Hook: hook})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b job.Job) int { return b.FinishedAt.Compare(a.FinishedAt) })
	return all[:min(len(all), fewRows)], nil
}

func (u *UI) cards(s *admin.Status, all *series.Series, now time.Time) []card {
	total := all.Total()
	within := "in the last " + all.Span.Name
	waiting := s.Jobs[job.Queued] + s.Jobs[job.Scheduled]
	cards := []card{
		{Name: "Deliveries", Value: number(total.Deliveries()), Detail: within, URL: "/deliveries?since=" + all.Span.Name},
		{Name: "Failed jobs", Value: number(total.Failed), Detail: within, URL: "/jobs?state=failed", Class: classIf(total.Failed > 0, "bad")},
		{Name: "Waiting", Value: number(waiting), Detail: "nothing is due", URL: "/jobs?state=queued"},
		running(s),
		{Name: "Refused", Value: number(total.Refused), Detail: within, URL: "/rejected?since=" + all.Span.Name},
	}
	if oldest, ok := u.backend.Oldest(); ok {
		age := now.Sub(oldest.RunAt)
		cards[2].Detail, cards[2].URL = "oldest due "+spanText(age)+" ago", "/jobs/"+oldest.ID
		cards[2].Class = classIf(age > time.Minute, "wait")
	}
	if slow, ok := total.Ack(0.95); ok {
		cards = append(cards, card{Name: "Answered within", Value: "≈ " + span(slow), Detail: "95 of 100, " + within})
	}
	return cards
}

// running is how many jobs run; one whose end is being written down holds no worker any more.
func running(s *admin.Status) card {
	c := card{Name: "Running", Value: number(s.Jobs[job.Running]), Detail: "on all nodes", URL: "/jobs?state=running"}
	if !s.Fleet {
		c.Value, c.Detail = number(min(s.Jobs[job.Running], s.Workers)), fmt.Sprintf("of %d at once", s.Workers)
	}
	return c
}

func classIf(on bool, class string) string {
	if on {
		return class
	}
	return ""
}

func (u *UI) healths(hooks []admin.HookInfo, chosen series.Span, status *admin.Status) []health {
	var out []health
	for _, h := range hooks {
		s := u.backend.Series(h.Name, chosen)
		total := s.Total()
		one := health{
			HookInfo: h, Spark: sparkline(&s), Deliveries: total.Deliveries(), Failed: total.Failed, RefusedCount: total.Refused,
			Last: u.backend.LastDelivery(h.Name), URL: hookURL(h.Name), FailedURL: "/jobs?" + url.Values{"hook": {h.Name}, "state": {"failed"}}.Encode(),
		}
		if slow, ok := total.Ack(0.95); ok {
			one.Ack = "≈ " + span(slow)
		}
		for _, r := range h.Rules {
			if r.Paused && !h.Paused {
				one.PausedRules++
			}
		}
		one.Class, one.Icon, one.Word = healthWord(&one, senderSideOf(status, h.Name), u.now())
		out = append(out, one)
	}
	return out
}

// healthWord is what a hook is first of all.
func healthWord(h *health, side senderSide, now time.Time) (class, iconName, word string) {
	trouble, of := side.trouble(now)
	switch {
	case !h.Enabled:
		return "idle", "skip", "disabled"
	case h.Paused:
		return "wait", "pause", "paused"
	case h.Failed > 0:
		return "bad", "bad", "failing"
	case trouble != "":
		return of, map[string]string{"bad": "bad", "wait": "clock"}[of], trouble
	case h.PausedRules > 0:
		return "wait", "pause", "partly paused"
	case h.Deliveries == 0:
		return "idle", "none", "quiet"
	}
	return "ok", "ok", "healthy"
}

func hookURL(name string) string { return "/hooks/" + url.PathEscape(name) }

// attention is what somebody should look at, the gravest first.
func (u *UI) attention(s *admin.Status, hooks []health, recent []job.Delivery, now time.Time) []notice {
	var out []notice
	add := func(n notice) { out = append(out, n) }
	if !s.Ready {
		add(notice{"bad", "bad", "Deliveries cannot be stored", s.NotReady, "", ""})
	}
	if !s.Config.LastReloadOK {
		add(notice{"bad", "bad", "The configuration on disk was refused", plural(refusing(s.Config.Problems), "problem", "problems") + "; the one before still runs", "/config", "See the problems"})
	}
	for _, name := range s.Config.NeedsRestart {
		add(notice{"wait", "clock", name + " was changed and needs a restart", "", "/config", ""})
	}
	out = append(out, erring(recent)...)
	for _, h := range hooks {
		if h.Failed > 0 {
			add(notice{"bad", "bad", h.Name + ": " + plural(h.Failed, "job", "jobs") + " failed", "", h.FailedURL, "Show them"})
		}
	}
	out = append(out, senderNotices(s, now)...)
	for _, p := range s.Paused {
		add(notice{"wait", "pause", strings.TrimSuffix(p.Hook+"/"+p.Rule, "/") + " is paused", "for " + spanText(now.Sub(p.Since.Time)) + "; what arrives is kept", hookURL(p.Hook), "Resume"})
	}
	for _, h := range hooks {
		if h.Open && h.Enabled {
			add(notice{"warn", "open", h.Name + " verifies nothing", "verify: none lets everybody who reaches it start its rules", h.URL, ""})
		}
	}
	return gravestFirst(slices.Concat(out, gapNotices(s, now), secretNotices(s, now)))
}

// erring are the rules that could not be evaluated lately.
func erring(recent []job.Delivery) []notice {
	type rule struct{ hook, rule string }
	counts, last, order := map[rule]int{}, map[rule]*job.Delivery{}, []rule{}
	for i := range recent {
		for _, verdict := range recent[i].Verdicts {
			key := rule{recent[i].Hook, verdict.Rule}
			if verdict.Verdict != job.Error {
				continue
			}
			if counts[key]++; last[key] == nil {
				last[key] = &recent[i]
				order = append(order, key)
			}
		}
	}
	var out []notice
	for _, key := range order {
		message := ""
		for _, verdict := range last[key].Verdicts {
			if verdict.Rule == key.rule {
				message = verdict.Error
			}
		}
		out = append(out, notice{
			"bad", "bad", key.hook + "/" + key.rule + " could not be evaluated for " + plural(counts[key], "delivery", "deliveries"), message,
			"/deliveries/" + last[key].ID, "Show the latest",
		})
	}
	return out
}

// unusedFor is how long a secret is not needed before it is said to be old.
const unusedFor = 7 * 24 * time.Hour

// secretNotices say how a rotation of secrets goes.
func secretNotices(s *admin.Status, now time.Time) (out []notice) {
	for _, secret := range s.Secrets {
		if secret.Of < 2 {
			continue
		}
		name := fmt.Sprintf("%s: secret %d", secret.Hook, secret.Position+1)
		url := hookURL(secret.Hook)
		switch {
		case !secret.LastMatch.IsZero() && now.Sub(secret.LastMatch.Time) > unusedFor:
			out = append(out, notice{"wait", "key", name + " has not matched for " + spanText(now.Sub(secret.LastMatch.Time)), "it can be removed", url, ""})
		case secret.LastMatch.IsZero() && now.Sub(s.StartedAt.Time) > unusedFor:
			out = append(out, notice{"wait", "key", name + " has not matched since the start", "remove it, or look whether the sender uses it yet", url, ""})
		}
	}
	return out
}

// refusing is how many of what was found keep a configuration from being taken up.
func refusing(found []admin.Diagnostic) (n int) {
	for _, f := range found {
		if f.Severity != "warning" {
			n++
		}
	}
	return n
}
