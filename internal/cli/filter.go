package cli

import (
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// filterFlags are the flags that every list takes.
type filterFlags struct {
	Hook   string `complete:"hooks" placeholder:"HOOK" help:"Only of this hook."`
	Rule   string `placeholder:"RULE" help:"Only of this rule."`
	State  string `placeholder:"STATE" help:"Only with a job in this state."`
	Event  string `placeholder:"EVENT" help:"Only of this event type."`
	Since  string `placeholder:"TIME" help:"Not before: 90s, 24h, 7d ago, or 2026-01-02T15:04:05Z."`
	Until  string `placeholder:"TIME" help:"Before."`
	Limit  int    `short:"n" default:"50" placeholder:"N" help:"At most this many, up to 500 (default 50)."`
	Cursor string `placeholder:"ID" help:"Those after this one: the next page."`
	JSON   bool   `name:"json" help:"Print one JSON document."`
}

// filter reads the flags as the store's filter.
func (f *filterFlags) filter(now time.Time) (store.Filter, error) {
	out := store.Filter{Hook: f.Hook, Rule: f.Rule, State: job.State(f.State), Event: f.Event, Cursor: f.Cursor, Limit: f.Limit}
	if err := admin.CheckState(out.State); err != nil {
		return out, misuse(fmt.Errorf("--state %s: %w", f.State, err))
	}
	if f.Limit < 1 || f.Limit > admin.MaxLimit {
		return out, misuse(fmt.Errorf("--limit must be from 1 to %d", admin.MaxLimit))
	}
	var err error
	if out.Since, err = admin.ParseTime(f.Since, now); err != nil {
		return out, misuse(fmt.Errorf("--since: %w", err))
	}
	if out.Until, err = admin.ParseTime(f.Until, now); err != nil {
		return out, misuse(fmt.Errorf("--until: %w", err))
	}
	return out, nil
}

// sayMore tells how to see the page that follows.
func (e *env) sayMore(next string) {
	if next != "" {
		e.say("there may be more: --cursor %s", printable(next))
	}
}
