package ui

import (
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/backtest"
)

// planData is the backtest of another configuration.
type planData struct {
	Source   string // of the candidate, as it was pasted
	Since    string
	Report   *backtest.Report
	Rules    []planRule
	Problems []problem
	Error    string
	Same     bool // nothing would change
	File     string
}

// planRule is what changes for one rule.
type planRule struct {
	*backtest.Rule
	Changes []planChange
}

// planChange is one kind of change with the deliveries it concerns.
type planChange struct {
	Name, Class, Icon string
	backtest.Change
}

// plan asks for a candidate. What runs is not offered to be edited: a file may hold secrets.
func (u *UI) plan(*http.Request, *visit) (*view, error) {
	data := planData{Since: "7d", File: u.mainFile()}
	return &view{name: "plan", title: "Backtest", nav: "config", data: data}, nil
}

func (u *UI) mainFile() string {
	if files := u.backend.Status().Config.Files; len(files) > 0 {
		return files[0]
	}
	return "hooks.yaml"
}

// tryPlan lets the candidate decide on what is stored.
func (u *UI) tryPlan(r *http.Request, v *visit) (*view, error) {
	data := planData{Source: strings.ReplaceAll(r.PostFormValue("source"), "\r\n", "\n"), Since: r.PostFormValue("since"), File: u.mainFile()}
	shown := &view{name: "plan", title: "Backtest", nav: "config"}
	defer func() { shown.data = data }()
	since, err := admin.ParseTime(fall(data.Since, "7d"), v.now)
	if err != nil {
		data.Error = "Since: " + err.Error() + "."
		return shown, nil
	}
	began := time.Now()
	report, found, err := u.backend.Backtest(r.Context(), data.Source, since)
	result := "ok"
	if err != nil {
		result = err.Error()
		data.Error = upperFirst(err.Error()) + "."
	}
	u.door.Audit(r, v.session.Who, "backtest", "", result)
	for _, d := range found {
		if d.Severity != "warning" {
			data.Problems = append(data.Problems, newProblem(d))
		}
	}
	if report == nil || err != nil {
		return shown, nil
	}
	data.Report, data.Same = report, true
	for _, rule := range report.Rules {
		one := planRule{Rule: rule}
		for _, c := range []planChange{
			{"lost", "bad", "bad", rule.Lost},
			{"gained", "ok", "ok", rule.Gained},
			{"no longer evaluated", "bad", "bad", rule.Errors},
			{"would run something else", "wait", "next", rule.Changed},
			{"another lane or key", "wait", "queue", rule.Keys},
		} {
			if c.Count > 0 {
				one.Changes = append(one.Changes, c)
				data.Same = false
			}
		}
		data.Rules = append(data.Rules, one)
	}
	for _, h := range report.Hooks {
		data.Same = data.Same && !h.Gone && h.LostSecret.Count == 0 && h.Refused.Count == 0
	}
	u.log.DebugContext(r.Context(), "backtest", "deliveries", report.Deliveries, "took", time.Since(began).String())
	return shown, nil
}
