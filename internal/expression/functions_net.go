package expression

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	_ "time/tzdata" // zones are the same on every machine
)

// globFunction matches text against a pattern: ** is anything, * anything but a slash, ? one
// character but a slash. It takes time proportional to the product of both lengths, at most.
func globFunction(b *budget, a []any) (any, error) {
	if a[0] == nil || a[1] == nil {
		return false, nil
	}
	s, err := texts(b, a...)
	if err != nil {
		return nil, err
	}
	if err := b.look(len(s[0]) * len(s[1]) / 8); err != nil {
		return nil, err
	}
	return globMatch(s[0], s[1]), nil
}

// globMatch walks the pattern once for each character of s, keeping the set of places in the
// pattern that s could have reached.
func globMatch(pattern, s string) bool {
	tokens := globTokens(pattern)
	reached := make([]bool, len(tokens)+1)
	reached[0] = true
	spread(tokens, reached)
	for i := range len(s) {
		next := make([]bool, len(tokens)+1)
		for at, ok := range reached[:len(tokens)] {
			if !ok {
				continue
			}
			switch tokens[at] {
			case "**":
				next[at] = true
			case "*":
				next[at] = next[at] || s[i] != '/'
			case "?":
				next[at+1] = next[at+1] || s[i] != '/'
			default:
				next[at+1] = next[at+1] || tokens[at] == s[i:i+1]
			}
		}
		spread(tokens, next)
		reached = next
	}
	return reached[len(tokens)]
}

// spread lets stars match nothing.
func spread(tokens []string, reached []bool) {
	for at := range tokens {
		if reached[at] && (tokens[at] == "*" || tokens[at] == "**") {
			reached[at+1] = true
		}
	}
}

func globTokens(pattern string) []string {
	var out []string
	for i := 0; i < len(pattern); i++ {
		if strings.HasPrefix(pattern[i:], "**") {
			out = append(out, "**")
			i++
			if strings.HasPrefix(pattern[i+1:], "/") && (len(out) == 1 || out[len(out)-2] == "/") {
				i++ // "**/" also matches no folder at all
			}
			continue
		}
		out = append(out, pattern[i:i+1])
	}
	return out
}

func cidrFunction(b *budget, a []any) (any, error) {
	if a[1] == nil {
		return false, nil
	}
	s, err := texts(b, a...)
	if err != nil {
		return nil, err
	}
	prefix, err := netip.ParsePrefix(s[0])
	if err != nil {
		return nil, fmt.Errorf("%s is not a network such as 10.0.0.0/8", describe(s[0]))
	}
	addr, err := netip.ParseAddr(s[1])
	return err == nil && prefix.Contains(addr.Unmap()), nil
}

// semverFunction compares versions by semver.org 2.0.0, clause 11; a leading v is allowed, and
// missing parts are 0. What is no version is nil to it: false.
func semverFunction(b *budget, a []any) (any, error) {
	if a[0] == nil || a[2] == nil {
		return false, nil
	}
	s, err := texts(b, a...)
	if err != nil {
		return nil, err
	}
	x, ok := parseVersion(s[0])
	y, ok2 := parseVersion(s[2])
	if !ok2 {
		return nil, fmt.Errorf("%s is not a version", describe(s[2]))
	}
	if !ok {
		return false, nil
	}
	c := x.compare(y)
	switch s[1] {
	case "=", "==":
		return c == 0, nil
	case "!=":
		return c != 0, nil
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	case ">=":
		return c >= 0, nil
	}
	return nil, fmt.Errorf("%s is not one of = != < <= > >=", describe(s[1]))
}

type version struct {
	numbers [3]uint64
	pre     []string
}

func parseVersion(s string) (version, bool) {
	var v version
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "+")
	core, pre, hasPre := strings.Cut(s, "-")
	parts := strings.Split(core, ".")
	if len(parts) > 3 || core == "" || hasPre && pre == "" {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 63)
		if err != nil {
			return v, false
		}
		v.numbers[i] = n
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	return v, true
}

func (v version) compare(w version) int {
	for i := range v.numbers {
		if v.numbers[i] != w.numbers[i] {
			return sign(v.numbers[i] < w.numbers[i])
		}
	}
	switch {
	case len(v.pre) == 0 && len(w.pre) == 0:
		return 0
	case len(v.pre) == 0 || len(w.pre) == 0:
		return sign(len(v.pre) > 0) // a pre-release is before its release
	}
	for i := range min(len(v.pre), len(w.pre)) {
		if c := comparePre(v.pre[i], w.pre[i]); c != 0 {
			return c
		}
	}
	if len(v.pre) == len(w.pre) {
		return 0
	}
	return sign(len(v.pre) < len(w.pre))
}

func comparePre(a, b string) int {
	if a == b {
		return 0
	}
	x, errX := strconv.ParseUint(a, 10, 63)
	y, errY := strconv.ParseUint(b, 10, 63)
	switch {
	case errX == nil && errY == nil:
		return sign(x < y)
	case (errX == nil) != (errY == nil):
		return sign(errX == nil) // numbers are before words
	}
	return sign(a < b)
}

func sign(before bool) int {
	if before {
		return -1
	}
	return 1
}

// instant reads a time: RFC 3339 text, seconds since 1970, or a time.
func instant(v any) (time.Time, error) {
	switch t := v.(type) {
	case time.Time:
		return t, nil
	case string:
		for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly, "2006-01-02T15:04:05"} {
			if at, err := time.Parse(layout, t); err == nil {
				return at, nil
			}
		}
		if seconds, err := strconv.ParseInt(t, 10, 64); err == nil {
			return time.Unix(seconds, 0).UTC(), nil
		}
		return time.Time{}, fmt.Errorf("%s is not a time", describe(v))
	}
	if f, ok := asFloat(v); ok && math.Abs(f) < 1e12 {
		return time.Unix(int64(f), 0).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("wants a time, not %s", kindOf(v))
}

func ageFunction(b *budget, a []any) (any, error) {
	at, err := instant(a[0])
	if err != nil {
		return nil, err
	}
	return b.in.now().Sub(at), nil
}

var weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// windowFunction reports whether it is now within a window of the week, such as
// "Mon-Fri 09:00-17:00"; one that ends before it begins goes over midnight, and counts to the day
// it begins on.
func windowFunction(b *budget, a []any) (any, error) {
	s, err := texts(b, a...)
	if err != nil {
		return nil, err
	}
	zone := time.UTC
	if len(s) == 2 {
		if zone, err = time.LoadLocation(s[1]); err != nil || s[1] == "Local" {
			return nil, fmt.Errorf("%s is not a time zone such as Europe/Berlin", describe(s[1]))
		}
	}
	days, from, to, err := parseWindow(s[0])
	if err != nil {
		return nil, err
	}
	now := b.in.now().In(zone)
	minute := now.Hour()*60 + now.Minute()
	today, yesterday := days[now.Weekday()], days[(now.Weekday()+6)%7]
	if from < to {
		return today && minute >= from && minute < to, nil
	}
	return today && minute >= from || yesterday && minute < to, nil
}

func parseWindow(s string) (days [7]bool, from, to int, err error) {
	wrong := fmt.Errorf(`%s is not a window such as "Mon-Fri 09:00-17:00"`, describe(s))
	dayText, hours, both := strings.Cut(strings.TrimSpace(s), " ")
	if !both {
		dayText, hours = "Mon-Sun", dayText
	}
	for _, span := range strings.Split(dayText, ",") {
		first, last, isSpan := strings.Cut(span, "-")
		if !isSpan {
			last = first
		}
		f, l := weekday(first), weekday(last)
		if f < 0 || l < 0 {
			return days, 0, 0, wrong
		}
		for d := f; ; d = (d + 1) % 7 {
			days[d] = true
			if d == l {
				break
			}
		}
	}
	fromText, toText, ok := strings.Cut(hours, "-")
	from, ok1 := clock(fromText)
	to, ok2 := clock(toText)
	if !ok || !ok1 || !ok2 {
		return days, 0, 0, wrong
	}
	return days, from, to, nil
}

func weekday(s string) int {
	for i, name := range weekdays {
		if strings.EqualFold(name, strings.TrimSpace(s)) {
			return i
		}
	}
	return -1
}

// clock is a time of day in minutes; 24:00 is the day's end.
func clock(s string) (int, bool) {
	h, m, ok := strings.Cut(strings.TrimSpace(s), ":")
	hours, err := strconv.Atoi(h)
	minutes, err2 := strconv.Atoi(m)
	total := hours*60 + minutes
	return total, ok && err == nil && err2 == nil && hours >= 0 && minutes >= 0 && minutes < 60 && total <= 24*60
}
