package ui

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/job"
)

// functions are what templates call. Whatever returns template.HTML escapes what it is given.
func functions() template.FuncMap {
	return template.FuncMap{
		"asset": assetURL, "icon": icon, "state": stateLabel, "outcome": outcomeLabel, "verdict": verdictLabel,
		"ago": ago, "until": until, "clock": clock, "took": took, "span": span, "size": size, "short": short, "clean": clean,
		"ansi": ansi, "number": number, "remedy": remedy, "join": strings.Join, "dict": dict, "plural": plural, "signed": func(n int) int { return n + 1 },
		"offset": offset,
		"zero":   time.Time.IsZero, "fall": fall, "text": func(b []byte) string { return string(b) }, "int": func(n int64) int { return int(n) },
		"seconds": func(s float64) string { return span(time.Duration(s * float64(time.Second))) },
	}
}

// dict makes a map of pairs, for a part of a template that takes several values.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict of %d values", len(pairs))
	}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict key %v", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// fall is s, or what stands in its place when it is "".
func fall(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// clean makes visible what would hide in a text or change its neighbours: control characters,
// directions of writing, bytes that are no UTF-8. The rest is escaped by the template.
func clean(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// hidden reports whether a character is not seen as itself. Lines and tabs are.
func hidden(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r))
}

// exact is a moment as it stands in a tooltip.
func exact(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// ago is how long ago a moment was, with the exact one to hover over; a script keeps it current.
func ago(now, t time.Time) template.HTML {
	return moment(t, spanText(now.Sub(t))+" ago", "ago")
}

// until is how long it is to a moment.
func until(now, t time.Time) template.HTML {
	if !t.After(now) {
		return moment(t, "now", "until")
	}
	return moment(t, "in "+spanText(t.Sub(now)), "until")
}

// clock is a moment by the clock, for lists of what followed what.
func clock(t time.Time) template.HTML { return moment(t, t.UTC().Format("15:04:05.000"), "clock") }

func moment(t time.Time, text, kind string) template.HTML {
	if t.IsZero() {
		return `<span class="none">never</span>`
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-is="%s" title="%s">%s</time>`,
		t.UTC().Format(time.RFC3339Nano), kind, exact(t), text))
}

// spanText is a length of time in its largest unit.
func spanText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// span is a length of time as precise as one reads it.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// took is the time from one moment to another, "" unless both are known.
func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return span(to.Sub(from))
}

func size(n int) string {
	switch {
	case n < 1<<10:
		return strconv.Itoa(n) + " B"
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// number groups the digits of a count.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// short is the end of an id, as the command line shows it too: the beginning of a UUIDv7 is its
// time, which many share.
func short(id string) string { return id[max(0, len(id)-8):] }

// icons are drawn by hand in a 16 x 16 box; the layout has each once, as a symbol.
func icon(name string) template.HTML {
	return template.HTML(`<svg class="i" aria-hidden="true"><use href="#i-` + template.HTMLEscapeString(name) + `"/></svg>`)
}

// label is an icon and a word in the colour of what it means.
func label(class, iconName, word string) template.HTML {
	return template.HTML(`<span class="st `+class+`">`) + icon(iconName) + template.HTML(template.HTMLEscapeString(word)+`</span>`)
}

// looks is the colour and icon of each state: the same everywhere.
var looks = map[job.State][2]string{
	job.Scheduled:   {"wait", "clock"},
	job.Queued:      {"wait", "queue"},
	job.Running:     {"run", "run"},
	job.Succeeded:   {"ok", "ok"},
	job.Failed:      {"bad", "bad"},
	job.TimedOut:    {"bad", "timeout"},
	job.Cancelled:   {"idle", "cancel"},
	job.Superseded:  {"idle", "next"},
	job.Skipped:     {"idle", "skip"},
	job.Stale:       {"idle", "skip"},
	job.Expired:     {"warn", "timeout"},
	job.Interrupted: {"bad", "cut"},
}

func stateLabel(s job.State) template.HTML {
	look, known := looks[s]
	if !known {
		look = [2]string{"idle", "skip"}
	}
	return label("st-"+look[0], look[1], strings.ReplaceAll(string(s), "_", " "))
}

func outcomeLabel(o job.Outcome) template.HTML {
	switch o {
	case job.Accepted:
		return label("st-ok", "ok", "accepted")
	case job.Ignored:
		return label("st-idle", "none", "ignored")
	case job.Duplicate:
		return label("st-idle", "copy", "duplicate")
	}
	return label("st-idle", "skip", string(o))
}

func verdictLabel(v job.Verdict) template.HTML {
	switch v {
	case job.Match:
		return label("st-ok", "ok", "match")
	case job.NoMatch:
		return label("st-idle", "none", "no match")
	}
	return label("st-bad", "bad", "error")
}

// offset is how far a clock is off, in words.
func offset(seconds float64) string {
	if seconds < 0 {
		return span(time.Duration(-seconds*float64(time.Second))) + " behind"
	}
	return span(time.Duration(seconds*float64(time.Second))) + " ahead"
}
