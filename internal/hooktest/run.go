package hooktest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
)

// Result is how one test went.
type Result struct {
	Name  string     `json:"name"`
	Hook  string     `json:"hook"`
	OK    bool       `json:"ok"`
	At    config.Pos `json:"-"`
	Diffs []Diff     `json:"diffs"` // what was other than expected
}

// Diff is one thing that was other than expected.
type Diff struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	// Rules are those that matched and should not have, or should have and did not, with the values
	// that decided.
	Rules []Decided `json:"rules,omitempty"`
}

// Decided is what a rule said, and why.
type Decided struct {
	Rule    string          `json:"rule"`
	Verdict job.Verdict     `json:"verdict"`
	Error   string          `json:"error"`
	Values  []job.RuleValue `json:"values"`
}

// Run runs every test, in order.
func Run(tests []*Test, now time.Time) []Result {
	results := make([]Result, len(tests))
	for i, t := range tests {
		results[i] = t.run(now)
	}
	return results
}

func (t *Test) run(now time.Time) Result {
	if !t.clock.IsZero() {
		now = t.clock
	}
	at, _ := t.at.Place()
	result := Result{Name: t.Name, Hook: t.Hook.Name, At: at}
	got, err := t.outcome(now)
	if err != nil {
		result.Diffs = []Diff{{What: "the request", Want: "one that can be made", Got: err.Error()}}
	} else {
		result.Diffs = t.compare(got)
	}
	result.OK = len(result.Diffs) == 0
	return result
}

// outcome is what a hook makes of a request.
type outcome struct {
	status  int
	why     string // it was not taken
	rules   []string
	x       hook.Explanation
	matched []hook.RuleExplanation
}

// outcome goes the way of a delivery as far as it goes.
func (t *Test) outcome(now time.Time) (outcome, error) {
	r, trusted, err := t.make(now)
	if err != nil {
		return outcome{}, err
	}
	h, params := t.set.Route(r.Path, r.RawPath)
	refused := func(status int, why string) (outcome, error) {
		if t.Hook.Hide && status == http.StatusUnauthorized {
			status = http.StatusNotFound
		}
		return outcome{status: status, why: why}, nil
	}
	switch {
	case h == nil:
		return refused(http.StatusNotFound, fmt.Sprintf("no hook has the path %s", r.Path))
	case h != t.Hook:
		return outcome{}, fmt.Errorf("path %s belongs to hook %q", r.Path, h.Name)
	case !h.AllowsMethod(r.Method):
		return refused(http.StatusMethodNotAllowed, "the hook takes "+strings.Join(h.Methods, ", "))
	case int64(len(r.Body)) > h.MaxBody:
		return refused(http.StatusRequestEntityTooLarge, fmt.Sprintf("max_body is %d bytes", h.MaxBody))
	case !h.AllowsIP(r.IP):
		return refused(http.StatusUnauthorized, "allow_ips does not have "+r.IP.String())
	}
	r.Params = params
	explain := h.Explain
	if trusted {
		explain = h.ExplainTrusted
	}
	x := explain(r, now)
	switch {
	case !x.Verified:
		return refused(http.StatusUnauthorized, x.Reason)
	case x.Handshake != nil:
		return outcome{status: x.Handshake.Status, why: "it is a handshake", x: x}, nil
	case x.PayloadError != "":
		return refused(http.StatusBadRequest, x.PayloadError)
	}
	o := outcome{x: x, status: http.StatusOK}
	d := job.Delivery{Key: x.DeliveryKey, Event: x.Event, Outcome: job.Ignored}
	for _, rule := range x.Rules {
		if rule.Verdict == job.Match {
			o.rules, o.matched = append(o.rules, rule.Rule), append(o.matched, rule)
			d.Outcome, o.status = job.Accepted, http.StatusAccepted
		}
	}
	if a := h.Answer(r, &d); a != nil && a.Status != 0 {
		o.status = a.Status
	}
	return o, nil
}

// compare lists what is other than expected.
func (t *Test) compare(got outcome) (diffs []Diff) {
	e := &t.expect
	differs := func(what, want, is string) {
		if want != is {
			diffs = append(diffs, Diff{What: what, Want: want, Got: is})
		}
	}
	because := ""
	if got.why != "" {
		because = " (" + got.why + ")"
	}
	if e.Status != nil && *e.Status != got.status {
		differs("status", fmt.Sprint(*e.Status), fmt.Sprint(got.status, because))
	}
	if e.Rules != nil {
		var want []string
		for _, text := range *e.Rules {
			want = append(want, text.Value)
		}
		if !slices.Equal(want, got.rules) {
			diffs = append(diffs, Diff{What: "rules", Want: list(want), Got: list(got.rules) + because + t.errors(got), Rules: decided(want, got)})
		}
	}
	if e.Event.Value != "" {
		differs("event", e.Event.Value, got.x.Event)
	}
	if e.DeliveryKey.Value != "" {
		differs("delivery_key", e.DeliveryKey.Value, got.x.DeliveryKey)
	}
	if e.Error.Value != "" && !strings.Contains(t.errors(got), e.Error.Value) {
		differs("error", e.Error.Value, strings.TrimPrefix(t.errors(got), "; "))
	}
	return append(diffs, t.compareAction(got)...)
}

// decided are the rules that matched and were not to, or were to and did not.
func decided(want []string, got outcome) (out []Decided) {
	for _, r := range got.x.Rules {
		if slices.Contains(want, r.Rule) != slices.Contains(got.rules, r.Rule) {
			out = append(out, Decided{r.Rule, r.Verdict, r.Error, r.Values})
		}
	}
	return out
}

// errors are the verdicts that are errors, for a line.
func (t *Test) errors(got outcome) string {
	var b strings.Builder
	for _, rule := range got.x.Rules {
		if rule.Error != "" {
			fmt.Fprintf(&b, "; rule %s: %s", rule.Rule, rule.Error)
		}
	}
	return b.String()
}

// compareAction compares what would run: of the rule that is named, or the first that matched.
func (t *Test) compareAction(got outcome) (diffs []Diff) {
	e := &t.expect
	if len(e.Env) == 0 && e.Exec == nil && e.URL.Value == "" && e.ConcurrencyKey.Value == "" {
		return nil
	}
	i := slices.IndexFunc(got.matched, func(r hook.RuleExplanation) bool { return e.Rule.Value == "" || r.Rule == e.Rule.Value })
	if i < 0 {
		return []Diff{{What: "a rule that runs", Want: "one", Got: "none" + t.errors(got)}}
	}
	rule := got.matched[i]
	differs := func(what, want, is string) {
		if want != is {
			diffs = append(diffs, Diff{What: what, Want: want, Got: is})
		}
	}
	if e.ConcurrencyKey.Value != "" {
		differs("concurrency_key", e.ConcurrencyKey.Value, rule.ConcurrencyKey)
	}
	if e.URL.Value != "" {
		sent, _ := rule.Action["http"].(map[string]any)
		differs("url", e.URL.Value, fmt.Sprint(sent["url"]))
	}
	if e.Exec != nil {
		var want []string
		for _, text := range *e.Exec {
			want = append(want, text.Value)
		}
		argv, _ := rule.Action["exec"].([]string)
		if !slices.Equal(want, argv) {
			differs("exec", list(want), list(argv))
		}
	}
	env, _ := rule.Action["env"].(map[string]string)
	for _, name := range sortedNames(e.Env) {
		value, set := env[name]
		if !set {
			value = "(not set)"
		}
		differs("env "+name, e.Env[name].Value, value)
	}
	return diffs
}

func sortedNames(m map[string]config.Text) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func list(words []string) string { return "[" + strings.Join(words, ", ") + "]" }
