package ui

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// deliveriesData is what the list of deliveries shows.
type deliveriesData struct {
	Filter   filter
	Hooks    []string
	States   []job.State
	Outcomes []job.Outcome
	Rows     []deliveryRow
	Next     string // URL of the older ones, "" when there are none
	Newest   string // URL of the first page, when this is a later one
	Query    string // the filter, for what arrives while one reads
	Now      time.Time
	Sample   string
	Looked   int    // deliveries that were looked into
	Failed   int    // of these, those for which the condition could not be evaluated
	Failure  string // why, of the first
}

// deliveryRow is a delivery in a list, with what its rules decided in words.
type deliveryRow struct {
	job.Delivery
	Decision template.HTML
	Errors   int // rules that could not be evaluated
	Jobs     []job.Job
	Day      string // set in the first row of a day
	Now      time.Time
}

func (u *UI) deliveries(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	f, s, err := readFilter(r.URL.Query(), v.now)
	if err != nil {
		return nil, err
	}
	found, err := u.find(ctx, &f, s)
	if err != nil {
		return nil, err
	}
	data := deliveriesData{Filter: f, Looked: found.Scanned, Failed: found.Failed, Failure: found.Failure, States: job.States, Outcomes: []job.Outcome{job.Accepted, job.Ignored}, Query: f.values().Encode(), Now: v.now}
	for _, h := range u.backend.Hooks() {
		data.Hooks = append(data.Hooks, h.Name)
	}
	if len(data.Hooks) > 0 {
		data.Sample = data.Hooks[0]
	}
	if data.Rows, err = u.rows(ctx, found.Deliveries); err != nil {
		return nil, err
	}
	if found.Next != "" {
		data.Next = f.next("/deliveries", found.Next, s)
	}
	if f.cursor != "" {
		data.Newest = "/deliveries?" + data.Query
	}
	return &view{name: "deliveries", title: "Deliveries", nav: "deliveries", data: data}, nil
}

// find lists deliveries, or looks into them for as long as somebody waits for a page.
func (u *UI) find(ctx context.Context, f *filter, s store.Filter) (admin.Found, error) {
	if f.Searches() {
		found, err := u.backend.Search(ctx, s, admin.Search{Match: f.Match, Grep: f.Grep})
		var bad *admin.MatchError
		if errors.As(err, &bad) {
			return found, &told{http.StatusBadRequest, "The condition cannot be compiled: " + bad.Message + ".", strings.Join(bad.Hints, "; ")}
		}
		return found, err
	}
	list, err := u.backend.Deliveries(ctx, s)
	found := admin.Found{Deliveries: list}
	if len(list) == pageRows {
		found.Next = list[len(list)-1].ID
	}
	return found, err
}

// rows adds to deliveries the states of their jobs.
func (u *UI) rows(ctx context.Context, found []job.Delivery) ([]deliveryRow, error) {
	rows := make([]deliveryRow, len(found))
	now, day := u.now(), ""
	for i := range found {
		row := deliveryRow{Delivery: found[i], Now: now}
		if d := found[i].ReceivedAt.UTC().Format("Monday, 2 January 2006"); d != day {
			row.Day, day = d, d
		}
		for _, verdict := range found[i].Verdicts {
			if verdict.Verdict == job.Error {
				row.Errors++
			}
		}
		if len(found[i].JobIDs) > 0 {
			jobs, err := u.backend.Jobs(ctx, store.Filter{Delivery: found[i].ID, Limit: pageRows})
			if err != nil {
				return nil, err
			}
			row.Jobs = jobs
		}
		rows[i] = row
	}
	return rows, nil
}
