package cli

import (
	"fmt"
	"strconv"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// rejectsCmd is "rejects".
type rejectsCmd struct {
	Hook   string `complete:"hooks" placeholder:"HOOK" help:"Only of this hook."`
	Since  string `placeholder:"TIME" help:"Not before: 90s, 24h, 7d ago, or 2026-01-02T15:04:05Z."`
	Until  string `placeholder:"TIME" help:"Before."`
	Limit  int    `short:"n" default:"50" placeholder:"N" help:"At most this many, up to 500 (default 50)."`
	Cursor string `placeholder:"ID" help:"Those after this one: the next page."`
	JSON   bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (rejectsCmd) Help() string {
	return `A request that was not taken: a wrong or missing signature, an address that may not, a path that no hook has, too large, too often. Nothing of its content is kept. Requests that are refused alike from one address within a minute are one line with a count; the newest 1000 lines are kept.

Examples:

    tenterhook rejects
    tenterhook rejects --hook site --since 1h --json | jq -r '.[].reason'
`
}

// Run lists.
func (c *rejectsCmd) Run(e *env) error {
	f, err := (&filterFlags{Hook: c.Hook, Since: c.Since, Until: c.Until, Limit: c.Limit, Cursor: c.Cursor}).filter(e.now())
	if err != nil {
		return err
	}
	return e.reading(func(from source) error {
		list, next, err := from.Rejects(e.ctx, f)
		switch {
		case err != nil:
			return err
		case c.JSON:
			err = writeJSON(e.stdout, list)
		case len(list) == 0:
			e.say("no rejects found")
		default:
			c.print(e, list)
		}
		e.sayMore(next)
		return err
	})
}

func (c *rejectsCmd) print(e *env, list []admin.Reject) {
	t := table{columns: []column{
		{title: "AGE", right: true},
		{title: "TIMES", right: true},
		{title: "FROM"},
		{title: "HOOK"},
		{title: "ANSWER"},
		{title: "SIZE", right: true},
		{title: "REASON", gives: true},
	}}
	for _, r := range list {
		announced := ""
		if r.Size >= 0 {
			announced = size(int(r.Size))
		}
		hook := cell{r.Hook, plain}
		if r.Hook == "" {
			hook = cell{"(none)", faint}
		}
		t.row(cell{age(e.now(), r.LastAt.Time), plain}, cell{strconv.Itoa(r.Count), plain}, cell{r.IP, plain}, hook,
			cell{fmt.Sprintf("%d %s", r.Status, r.Error), yellow}, cell{announced, plain}, cell{r.Reason, plain})
	}
	t.write(e.stdout, e.out)
}
