package ui

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// senderSide is what a hook has to do with its sender: where deliveries are taken from, who takes those
// that are held, and whether what was expected came. Each is nil for a hook without.
type senderSide struct {
	Source   *admin.Source
	Held     *admin.HeldStatus
	Expected *admin.Expected
}

func senderSideOf(s *admin.Status, hook string) (side senderSide) {
	for i := range s.Sources {
		if s.Sources[i].Hook == hook {
			side.Source = &s.Sources[i]
		}
	}
	for i := range s.Held {
		if s.Held[i].Hook == hook {
			side.Held = &s.Held[i]
		}
	}
	for i := range s.Expected {
		if s.Expected[i].Hook == hook {
			side.Expected = &s.Expected[i]
		}
	}
	return side
}

// trouble is the gravest of it in a word or two, "" for none, and how grave it is.
func (x senderSide) trouble(now time.Time) (word, class string) {
	switch {
	case x.Source != nil && !x.Source.Elsewhere && x.Source.ConnectedAt.IsZero() && x.Source.Problem != "":
		return "not connected", "bad"
	case x.Held != nil && x.Held.Waiting >= x.Held.Most:
		return "full", "bad"
	case x.Expected != nil && !x.Expected.MissingSince.IsZero():
		return "missing", "bad"
	case x.Held != nil && heldLong(x.Held, now):
		return "not taken", "wait"
	}
	return "", ""
}

// heldShown is how long a held delivery may wait before that is worth a notice.
const heldShown = 5 * time.Minute

func heldLong(h *admin.HeldStatus, now time.Time) bool {
	return h.Waiting > 0 && !h.OldestAt.IsZero() && now.Sub(h.OldestAt.Time) > heldShown
}

// senderNotices say what did not come, or does not get on.
func senderNotices(s *admin.Status, now time.Time) (out []notice) {
	for _, x := range s.Expected {
		if !x.MissingSince.IsZero() {
			out = append(out, notice{"bad", "bad", x.Hook + ": an expected delivery did not come", "nothing for " + spanText(now.Sub(x.MissingSince.Time)) + "; one was due " + spanText(now.Sub(x.DueAt.Time)) + " ago", hookURL(x.Hook), "Show the hook"})
		}
	}
	for i := range s.Sources {
		out = append(out, sourceNotices(&s.Sources[i])...)
	}
	for i := range s.Held {
		out = append(out, heldNotices(&s.Held[i], now)...)
	}
	return out
}

// sourceNames are what kinds of sources are called in a sentence, and what becomes of deliveries
// while nobody is connected.
var sourceNames = map[string]struct{ name, meanwhile string }{
	"smee":       {"its smee channel", "what is sent meanwhile is lost, unless catchup finds it"},
	"gosmee":     {"its gosmee channel", "what is sent meanwhile waits there, if that server has Redis"},
	"tenterhook": {"its relay", "deliveries wait there"},
	"poll":       {"its sender", "which keeps what it sent for some days"},
}

func sourceNotices(x *admin.Source) []notice {
	of := sourceNames[x.Kind]
	switch {
	case x.Problem == "" || x.Elsewhere:
		return nil
	case x.ConnectedAt.IsZero():
		return []notice{{"bad", "bad", x.Hook + ": not connected to " + of.name, x.Problem + "; " + of.meanwhile, hookURL(x.Hook), "Show the hook"}}
	}
	return []notice{{"warn", "clock", x.Hook + ": " + x.Problem, "its source is " + of.name, hookURL(x.Hook), "Show the hook"}}
}

func heldNotices(x *admin.HeldStatus, now time.Time) (out []notice) {
	add := func(class, icon, what, detail string) {
		out = append(out, notice{class, icon, x.Hook + ": " + what, detail, hookURL(x.Hook), "Show the hook"})
	}
	if x.Lost > 0 {
		add("bad", "bad", plural(int(x.Lost), "held delivery was deleted", "held deliveries were deleted")+" that nobody had taken", "older than store.retention.for, since the start")
	}
	waiting := plural(x.Waiting, "held delivery waits", "held deliveries wait") + " for a taker"
	oldest := "the oldest for " + spanText(now.Sub(x.OldestAt.Time)) + seenLast(x, now)
	switch {
	case x.Waiting >= x.Most:
		add("bad", "bad", "no more can be held", waiting+", "+oldest+"; senders are told to come again")
	case heldLong(x, now):
		add("warn", "clock", waiting, oldest)
	}
	if x.Refused > 0 {
		add("bad", "bad", "a taker refused "+plural(x.Refused, "delivery", "deliveries"), "they are kept: once the taker can take them, replay them here")
	}
	return out
}

// seenLast says who might have taken it.
func seenLast(x *admin.HeldStatus, now time.Time) string {
	text := ""
	for _, t := range x.Takers {
		if t.SeenAt.IsZero() {
			text += "; " + t.Name + " was not seen since the start"
		} else {
			text += "; " + t.Name + " was seen " + spanText(now.Sub(t.SeenAt.Time)) + " ago"
		}
	}
	return text
}

// gravity orders notices.
var gravity = map[string]int{"bad": 0, "warn": 1, "wait": 2}

// gravestFirst keeps the order of those that are as grave.
func gravestFirst(all []notice) []notice {
	slices.SortStableFunc(all, func(a, b notice) int { return cmp.Compare(gravity[a.Class], gravity[b.Class]) })
	return all
}

// gapShown is for how long a gap is worth a notice, and gapsShown how many of them.
const (
	gapShown  = 24 * time.Hour
	gapsShown = 2
)

// gapNotices say that deliveries may have been lost lately, the newest first.
func gapNotices(s *admin.Status, now time.Time) (out []notice) {
	var more int
	var sum time.Duration
	for _, g := range s.Gaps {
		length := g.To.Sub(g.From.Time)
		switch {
		case now.Sub(g.To.Time) > gapShown || length < time.Minute:
		case len(out) < gapsShown:
			out = append(out, notice{
				"wait", "clock", "Nobody listened for " + spanText(length) + ", until " + spanText(now.Sub(g.To.Time)) + " ago",
				"what senders did not repeat since is lost, unless catchup finds it", "", "",
			})
		default:
			more, sum = more+1, sum+length
		}
	}
	if more > 0 {
		out = append(out, notice{"wait", "clock", fmt.Sprintf("And %s in the last 24h", plural(more, "more time", "more times")), "for " + spanText(sum) + " together", "", ""})
	}
	return out
}
