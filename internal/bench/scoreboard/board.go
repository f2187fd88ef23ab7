package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// board is what was measured.
type board struct {
	Machine   string
	Generator string
	Began     time.Time
	Took      time.Duration
	Short     bool
	Rounds    int
	Rows      []row
	Facts     []fact
	Targets   []target
}

// row is one line of the table of rates: medians over the rounds.
type row struct {
	Name string
	result
}

// fact is a figure that is not a rate.
type fact struct{ Name, Value string }

// target is one promise to reach.
type target struct {
	Name    string
	Want    string
	Got     string
	Reached bool
}

// series are the rounds of one contender.
type series struct {
	name   string
	rounds []result
}

func (s *series) median() result {
	get := func(of func(result) float64) float64 {
		var values []float64
		for _, r := range s.rounds {
			values = append(values, of(r))
		}
		return median(values)
	}
	return result{
		Requests: s.rounds[0].Requests,
		PerSec:   get(func(r result) float64 { return r.PerSec }),
		P50:      get(func(r result) float64 { return r.P50 }),
		P99:      get(func(r result) float64 { return r.P99 }),
		CPU:      get(func(r result) float64 { return r.CPU }),
	}
}

// ratio is the median of the rounds' ratios of rates: rounds are compared with themselves, so that
// a machine that is busy for a while does not decide.
func ratio(a, b *series) float64 {
	var values []float64
	for i := range min(len(a.rounds), len(b.rounds)) {
		values = append(values, a.rounds[i].PerSec/b.rounds[i].PerSec)
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func (b *board) add(s *series) {
	r := row{s.name, s.median()}
	b.Rows = append(b.Rows, r)
	fmt.Printf("   %-58s %9.0f/s%s%s\n", r.Name, r.PerSec, r.latency("   p50 %7.2f   p99 %7.2f ms"), r.cpu("   %5.0f µs CPU"))
}

func (r result) cpu(format string) string {
	if r.CPU == 0 {
		return ""
	}
	return fmt.Sprintf(format, r.CPU)
}

// latency is "" for what has none, such as a loop of processes.
func (r result) latency(format string) string {
	if r.P99 == 0 {
		return ""
	}
	return fmt.Sprintf(format, r.P50, r.P99)
}

func (b *board) fact(name, format string, a ...any) {
	f := fact{name, fmt.Sprintf(format, a...)}
	b.Facts = append(b.Facts, f)
	fmt.Printf("   %-58s %s\n", f.Name, f.Value)
}

// atLeast and atMost record a target.
func (b *board) atLeast(name string, got, want float64, format string) {
	b.judge(name, "≥ "+fmt.Sprintf(format, want), fmt.Sprintf(format, got), got >= want)
}

func (b *board) atMost(name string, got, want float64, format string) {
	b.judge(name, "≤ "+fmt.Sprintf(format, want), fmt.Sprintf(format, got), got <= want)
}

func (b *board) judge(name, want, got string, reached bool) {
	b.Targets = append(b.Targets, target{name, want, got, reached})
}

func (t target) word() string {
	if t.Reached {
		return "reached"
	}
	return "not reached"
}

func (b *board) printTargets(w io.Writer) {
	_, _ = fmt.Fprintf(w, "%-74s %14s %12s\n", "target", "wanted", "measured")
	reached := 0
	for _, t := range b.Targets {
		if t.Reached {
			reached++
		}
		_, _ = fmt.Fprintf(w, "%-74s %14s %12s  %s\n", t.Name, t.Want, t.Got, t.word())
	}
	_, _ = fmt.Fprintf(w, "\n%d of %d targets reached, in %v\n", reached, len(b.Targets), b.Took.Round(time.Second))
}

// markdown is the board for the documentation.
func (b *board) markdown() string {
	var s strings.Builder
	form := "standard"
	if b.Short {
		form = "short"
	}
	fmt.Fprintf(&s, "%s, %s. %s form, medians of %d, closed loop by %s, open loop by vegeta.\n\n",
		b.Machine, b.Began.UTC().Format("2006-01-02"), strings.ToUpper(form[:1])+form[1:], b.Rounds, b.Generator)
	s.WriteString("| target | wanted | measured | |\n|---|--:|--:|---|\n")
	for _, t := range b.Targets {
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", t.Name, t.Want, t.Got, t.word())
	}
	s.WriteString("\n| measurement | per second | p50 ms | p99 ms | CPU µs each |\n|---|--:|--:|--:|--:|\n")
	for _, r := range b.Rows {
		latency := r.latency("%.2f | %.2f")
		if latency == "" {
			latency = " | "
		}
		fmt.Fprintf(&s, "| %s | %.0f | %s | %s |\n", r.Name, r.PerSec, latency, r.cpu("%.0f"))
	}
	s.WriteString("\n![Answers per second](images/performance-rates.svg)\n![p99 of the answers](images/performance-latency.svg)\n")
	s.WriteString("\n| fact | |\n|---|--:|\n")
	for _, f := range b.Facts {
		fmt.Fprintf(&s, "| %s | %s |\n", f.Name, f.Value)
	}
	return s.String()
}
