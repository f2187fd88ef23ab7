package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// listed is a fact of several lines: only the first has its name.
func listed(name string, lines []string) (all [][2]string) {
	for i, line := range lines {
		if i > 0 {
			name = ""
		}
		all = append(all, [2]string{name, line})
	}
	return all
}

// missing are the hooks whose expected deliveries do not come.
func missing(now time.Time, expected []admin.Expected) string {
	var parts []string
	for _, x := range expected {
		if !x.MissingSince.IsZero() {
			parts = append(parts, fmt.Sprintf("%s: nothing for %s, expected %s ago", printable(x.Hook), age(now, x.MissingSince.Time), age(now, x.DueAt.Time)))
		}
	}
	return strings.Join(parts, ", ")
}

// sources are where hooks take deliveries from, and how it is with them: a line for each.
func sources(e *env, all []admin.Source) (lines []string) {
	for _, s := range all {
		lines = append(lines, fmt.Sprintf("%s from %s ", printable(s.Hook), s.Kind)+sourceState(e, &s))
	}
	return lines
}

func sourceState(e *env, s *admin.Source) string {
	now := e.now()
	var text string
	switch {
	case s.Elsewhere:
		return "is taken by another daemon on the store"
	case s.ConnectedAt.IsZero() && s.Problem == "":
		text = e.out.paint(yellow, "not connected yet")
	case s.ConnectedAt.IsZero():
		text = e.out.paint(red, "not connected") + ": " + printable(s.Problem)
	default:
		text = "connected for " + age(now, s.ConnectedAt.Time)
	}
	if s.Held != nil && *s.Held > 0 {
		text += fmt.Sprintf(", %d waiting there", *s.Held)
	}
	if s.Taken > 0 {
		text += fmt.Sprintf(", %d taken", s.Taken)
	}
	if s.Refused > 0 {
		text += ", " + e.out.paint(yellow, fmt.Sprintf("%d refused", s.Refused))
	}
	if !s.LastAt.IsZero() {
		text += fmt.Sprintf(", the last came %s ago", age(now, s.LastAt.Time))
	}
	switch {
	case s.ConnectedAt.IsZero():
	case s.Problem != "":
		text += ", " + e.out.paint(yellow, printable(s.Problem))
	case !s.LostAt.IsZero():
		text += e.out.paint(faint, fmt.Sprintf(" (lost %s ago: %s)", age(now, s.LostAt.Time), printable(s.Lost)))
	}
	return text
}

// held are the hooks whose deliveries others take: a line for each.
func held(e *env, all []admin.HeldStatus) (lines []string) {
	for i := range all {
		h := &all[i]
		parts := []string{fmt.Sprintf("%s: %d waiting", printable(h.Hook), h.Waiting)}
		if h.Waiting >= h.Most {
			parts = append(parts, e.out.paint(red, fmt.Sprintf("which are all that it holds: senders are told to come again (most: %d)", h.Most)))
		}
		if h.Waiting > 0 && !h.OldestAt.IsZero() {
			parts = append(parts, "the oldest for "+age(e.now(), h.OldestAt.Time))
		}
		if h.Refused > 0 {
			parts = append(parts, e.out.paint(yellow, fmt.Sprintf("%d refused by a taker", h.Refused)))
		}
		if h.Lost > 0 {
			parts = append(parts, e.out.paint(red, fmt.Sprintf("%d deleted by retention before anybody took them", h.Lost)))
		}
		for _, t := range h.Takers {
			parts = append(parts, taker(e.now(), &t))
		}
		lines = append(lines, strings.Join(parts, ", "))
	}
	return lines
}

// heldState is how it is with a delivery that is held, "" for any other.
func heldState(now time.Time, h *admin.Held) string {
	switch {
	case h == nil:
		return ""
	case h.State == job.HeldAcknowledged:
		return fmt.Sprintf("taken by %s, %s ago", printable(h.Taker), age(now, h.ChangedAt.Time))
	case h.State == job.HeldRefused:
		return fmt.Sprintf("refused by %s, %s ago: %s", printable(h.Taker), age(now, h.ChangedAt.Time), printable(h.Reason))
	case h.UntilAt.After(now):
		return fmt.Sprintf("%s has it, and has not said that it is on its disk", printable(h.Taker))
	case h.Tries > 0:
		return fmt.Sprintf("waits for a taker, and was handed out %s", count(h.Tries, "time", "times"))
	}
	return "waits for a taker"
}

func taker(now time.Time, t *admin.TakerStatus) string {
	if t.SeenAt.IsZero() {
		return printable(t.Name) + " not seen"
	}
	text := fmt.Sprintf("%s seen %s ago", printable(t.Name), age(now, t.SeenAt.Time))
	if t.Has > 0 {
		text += fmt.Sprintf(" and has %d of them", t.Has)
	}
	return text
}
