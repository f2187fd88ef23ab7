package expression

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	_ "github.com/tenterhook/tenterhook/internal/zones" // for machines that have none
)

func prepareNetwork(s string) (any, error) {
	network, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not a network such as 10.0.0.0/8", describe(s))
	}
	return network, nil
}

// cidrFunction reports whether an address is in a network; what is no address is in none.
func cidrFunction(b *budget, a []any) (any, error) {
	network, ok := a[0].(netip.Prefix)
	if !ok {
		s, err := wantTexts(b, a[0])
		if err != nil {
			return nil, err
		}
		prepared, err := prepareNetwork(s[0])
		if err != nil {
			return nil, err
		}
		network = prepared.(netip.Prefix)
	}
	s, err := wantTexts(b, a[1])
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(s[0])
	return err == nil && network.Contains(address.Unmap().WithZone("")), nil
}

// layouts are how senders write times.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly,
	"2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05 -0700", time.RFC1123Z, time.RFC1123,
}

// maxTimeText is longer than every layout.
const maxTimeText = 64

func prepareDate(s string) (any, error) { return toInstant(s) }

// toInstant reads a time: text in one of the layouts, seconds since 1970, or a time.
func toInstant(v any) (time.Time, error) {
	if s, ok := v.(string); ok && len(s) <= maxTimeText {
		for _, layout := range layouts {
			if at, err := time.Parse(layout, s); err == nil {
				return at, nil
			}
		}
		if seconds, err := strconv.ParseFloat(s, 64); err == nil {
			v = seconds
		}
	}
	if at, ok := v.(time.Time); ok {
		return at, nil
	}
	n, ok := numeralOf(v)
	switch seconds := n.float(); {
	case kindOf(v) == text:
		return time.Time{}, errors.New("the text is not a time such as 2026-01-02T15:04:05Z")
	case !ok:
		return time.Time{}, fmt.Errorf("wants a time, not %s", sayKind(v))
	case !(math.Abs(seconds) < 1e11): // the year 5138
		return time.Time{}, errors.New("too large for seconds since 1970: divide milliseconds by 1000")
	default:
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
	}
}

func ageFunction(b *budget, a []any) (any, error) {
	at, err := toInstant(a[0])
	if err != nil {
		return nil, err
	}
	return b.in.now().Sub(at), nil
}

// prepareDuration reads a duration as the configuration file does: 250ms, 90s, 10m, 14d.
func prepareDuration(s string) (any, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && math.Abs(n) < 1e5 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return nil, fmt.Errorf("%s is not a duration such as 90s, 5m or 14d", describe(s))
	}
	return d, nil
}

func durationFunction(_ *budget, a []any) (any, error) {
	switch v := a[0].(type) {
	case time.Duration:
		return v, nil
	case string:
		return prepareDuration(v)
	}
	return nil, fmt.Errorf(`wants text such as "5m", not %s`, sayKind(a[0]))
}

// window is a time of the day on days of the week. One that ends before it begins goes over
// midnight, and belongs to the day it begins on.
type window struct {
	days     [7]bool
	from, to int // minutes
}

var windowPrepare = map[int]func(string) (any, error){0: prepareWindow, 1: prepareZone}

// windowFunction reports whether it is now within a window of a zone, UTC if none is given.
func windowFunction(b *budget, a []any) (any, error) {
	prepared := []any{nil, time.UTC}
	for i, v := range a {
		s, ok := v.(string)
		if !ok {
			prepared[i] = v
			continue
		}
		var err error
		if prepared[i], err = windowPrepare[i](s); err != nil {
			return nil, err
		}
	}
	w, ok := prepared[0].(window)
	zone, ok2 := prepared[1].(*time.Location)
	if !ok || !ok2 {
		return nil, errors.New("wants text for both the window and the zone")
	}
	return w.contains(b.in.now().In(zone)), nil
}

func (w window) contains(t time.Time) bool {
	minute := t.Hour()*60 + t.Minute()
	today, yesterday := w.days[t.Weekday()], w.days[(t.Weekday()+6)%7]
	if w.from < w.to {
		return today && minute >= w.from && minute < w.to
	}
	return today && minute >= w.from || yesterday && minute < w.to
}

func prepareZone(s string) (any, error) {
	zone, err := time.LoadLocation(s)
	if err != nil || s == "Local" || s == "" {
		return nil, fmt.Errorf("%s is not a time zone such as Europe/Berlin", describe(s))
	}
	return zone, nil
}

// prepareWindow reads "Mon-Fri 09:00-17:00", "Sat,Sun 22:00-06:00", or, for every day,
// "09:00-17:00".
func prepareWindow(s string) (any, error) {
	var w window
	days, hours, both := strings.Cut(strings.TrimSpace(s), " ")
	if !both {
		days, hours = "Mon-Sun", days
	}
	from, to, _ := strings.Cut(hours, "-")
	var ok, ok2 bool
	w.from, ok = clock(from)
	w.to, ok2 = clock(to)
	if !ok || !ok2 || w.from == w.to || w.from == 24*60 || !w.addDays(days) {
		return nil, fmt.Errorf(`%s is not a window such as "Mon-Fri 09:00-17:00"`, describe(s))
	}
	return w, nil
}

func (w *window) addDays(s string) bool {
	for span := range strings.SplitSeq(s, ",") {
		first, last, isSpan := strings.Cut(span, "-")
		if !isSpan {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return false
		}
		w.days[to] = true
		for d := from; d != to; d = (d + 1) % 7 {
			w.days[d] = true
		}
	}
	return true
}

func weekday(s string) int {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String()[:3], strings.TrimSpace(s)) {
			return int(d)
		}
	}
	return -1
}

// clock is a time of the day in minutes; 24:00 is its end.
func clock(s string) (int, bool) {
	h, m, ok := strings.Cut(strings.TrimSpace(s), ":")
	hours, err := strconv.ParseUint(h, 10, 8)
	minutes, err2 := strconv.ParseUint(m, 10, 8)
	total := int(hours*60 + minutes)
	return total, ok && err == nil && err2 == nil && minutes < 60 && total <= 24*60
}
