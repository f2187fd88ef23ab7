package ui

import (
	"context"
	"html/template"
	"net/http"
	"time"

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
	found, err := u.backend.Deliveries(ctx, s)
	if err != nil {
		return nil, err
	}
	data := deliveriesData{Filter: f, States: job.States, Outcomes: []job.Outcome{job.Accepted, job.Ignored}, Query: f.values().Encode(), Now: v.now}
	for _, h := range u.backend.Hooks() {
		data.Hooks = append(data.Hooks, h.Name)
	}
	if len(data.Hooks) > 0 {
		data.Sample = data.Hooks[0]
	}
	if data.Rows, err = u.rows(ctx, found); err != nil {
		return nil, err
	}
	if len(found) == pageRows {
		data.Next = f.next("/deliveries", found[len(found)-1].ID, s)
	}
	if f.cursor != "" {
		data.Newest = "/deliveries?" + data.Query
	}
	return &view{name: "deliveries", title: "Deliveries", nav: "deliveries", data: data}, nil
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
