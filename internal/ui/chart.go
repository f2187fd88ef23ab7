package ui

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/series"
)

// Charts are drawn here as SVG and coloured by classes of the style sheet; words stand beside
// them in HTML, so that they keep their size on a phone. Each has its figures as text too.

// chart is a drawing with its words.
type chart struct {
	Title  string
	SVG    template.HTML
	Top    string // what the upper edge stands for
	From   string // the left edge
	To     string
	Legend []legend
	Note   string // what one must know to read it
}

type legend struct{ Class, Word, Value string }

// The box that bars and lines are drawn in; the style sheet stretches it.
const (
	chartWidth  = 600.0
	chartHeight = 100.0
)

// layer is one part of each bar.
type layer struct {
	class, word string
	of          func(*series.Point) int
}

// bars draws layers on top of each other.
func bars(title string, s *series.Series, known time.Time, layers ...layer) chart {
	c := newChart(title, s)
	top := 0
	totals := make([]int, len(layers))
	for i := range s.Points {
		sum := 0
		for k, l := range layers {
			n := l.of(&s.Points[i])
			totals[k] += n
			sum += n
		}
		top = max(top, sum)
	}
	c.Top = number(top)
	var b strings.Builder
	c.unknown(&b, s, known)
	step := chartWidth / float64(len(s.Points))
	for i := range s.Points {
		y, words := chartHeight, []string{}
		for _, l := range layers {
			n := l.of(&s.Points[i])
			if n == 0 {
				continue
			}
			h := max(1.5, float64(n)/float64(top)*(chartHeight-2))
			y = max(0, y-h)
			fmt.Fprintf(&b, `<rect class="c-%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, l.class, float64(i)*step+0.5, y, max(1, step-1), h)
			words = append(words, number(n)+" "+l.word)
		}
		if len(words) > 0 {
			fmt.Fprintf(&b, `<rect class="c-hit" x="%.1f" y="0" width="%.1f" height="100"><title>%s: %s</title></rect>`,
				float64(i)*step, step, stepName(s, i), template.HTMLEscapeString(strings.Join(words, ", ")))
		}
	}
	var words []string
	for k, l := range layers {
		c.Legend = append(c.Legend, legend{l.class, l.word, number(totals[k])})
		words = append(words, number(totals[k])+" "+l.word)
	}
	c.close(&b, title+" in the last "+s.Span.Name+": "+strings.Join(words, ", ")+"; at most "+number(top)+" in "+stepLength(s))
	return c
}

// latency draws the middle and the slow end of the acknowledgements.
func latency(title string, s *series.Series) chart {
	c := newChart(title, s)
	top := time.Duration(0)
	for i := range s.Points {
		if slow, ok := s.Points[i].Ack(0.95); ok {
			top = max(top, slow)
		}
	}
	c.Top = span(top)
	var b strings.Builder
	c.unknown(&b, s, s.Timed)
	for _, line := range []struct {
		class string
		q     float64
	}{{"slow", 0.95}, {"half", 0.5}} {
		c.line(&b, s, line.class, line.q, top)
	}
	total := s.Total()
	half, some := total.Ack(0.5)
	slow, _ := total.Ack(0.95)
	if !some {
		c.close(&b, title+": nothing was acknowledged in the last "+s.Span.Name)
		c.Top = ""
		return c
	}
	c.Legend = []legend{{"half", "half within", "≈ " + span(half)}, {"slow", "95 % within", "≈ " + span(slow)}}
	c.close(&b, fmt.Sprintf("%s in the last %s: half within about %s, 95 %% within about %s", title, s.Span.Name, span(half), span(slow)))
	return c
}

// line draws one share of the acknowledgements: runs of steps that have some, and a dot for one
// that stands alone.
func (c *chart) line(b *strings.Builder, s *series.Series, class string, q float64, top time.Duration) {
	step := chartWidth / float64(len(s.Points))
	var run []string
	flush := func() {
		switch {
		case len(run) == 1:
			x, y, _ := strings.Cut(run[0], ",")
			fmt.Fprintf(b, `<path class="c-line c-%s" d="M%s %sh0.1"/>`, class, x, y)
		case len(run) > 1:
			fmt.Fprintf(b, `<polyline class="c-line c-%s" points="%s"/>`, class, strings.Join(run, " "))
		}
		run = nil
	}
	for i := range s.Points {
		took, ok := s.Points[i].Ack(q)
		if !ok {
			flush()
			continue
		}
		y := chartHeight - 1 - float64(took)/float64(max(1, top))*(chartHeight-6)
		run = append(run, fmt.Sprintf("%.1f,%.1f", (float64(i)+0.5)*step, y))
	}
	flush()
}

func newChart(title string, s *series.Series) chart {
	return chart{Title: title, From: s.Span.Name + " ago", To: "now"}
}

// unknown shades the time of which not everything was counted.
func (c *chart) unknown(b *strings.Builder, s *series.Series, known time.Time) {
	part := float64(known.Sub(s.From)) / float64(s.Span.Length())
	if part <= 0 {
		return
	}
	part = min(1, part)
	fmt.Fprintf(b, `<rect class="c-unknown" x="0" y="0" width="%.1f" height="100"/>`, part*chartWidth)
	c.Note = "counted since " + known.UTC().Format("Jan 2 15:04 UTC")
}

func (c *chart) close(b *strings.Builder, words string) {
	c.SVG = template.HTML(`<svg class="chart" viewBox="0 0 600 100" preserveAspectRatio="none" role="img" aria-label="` +
		template.HTMLEscapeString(words) + `">` + b.String() + `</svg>`)
}

func stepName(s *series.Series, i int) string {
	return s.At(i).UTC().Format("Jan 2 15:04") + " UTC"
}

func stepLength(s *series.Series) string {
	if s.Span.Step < time.Hour {
		return fmt.Sprintf("%d min", int(s.Span.Step.Minutes()))
	}
	return fmt.Sprintf("%d h", int(s.Span.Step.Hours()))
}

// sparkline is a small drawing for a row of a table: deliveries, and in red what failed.
func sparkline(s *series.Series) template.HTML {
	const width, height = 96.0, 20.0
	per := (len(s.Points) + 31) / 32 // at most 32 bars
	var points []series.Point
	for i := 0; i < len(s.Points); i += per {
		var sum series.Point
		for k := i; k < min(i+per, len(s.Points)); k++ {
			sum.Add(&s.Points[k])
		}
		points = append(points, sum)
	}
	top := 1
	for i := range points {
		top = max(top, points[i].Deliveries(), points[i].Failed)
	}
	var b strings.Builder
	step := width / float64(len(points))
	bar := func(i, n int, class string) {
		if n > 0 {
			h := max(1.5, float64(n)/float64(top)*height)
			fmt.Fprintf(&b, `<rect class="c-%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class, float64(i)*step, height-h, max(1, step-0.6), h)
		}
	}
	for i := range points {
		bar(i, points[i].Deliveries(), "accepted")
		bar(i, points[i].Failed, "failed")
	}
	total := s.Total()
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 96 20" role="img" aria-label="%s deliveries, %s failed jobs"><path class="c-base" d="M0 19.5h96"/>`,
		number(total.Deliveries()), number(total.Failed)) + b.String() + `</svg>`)
}
