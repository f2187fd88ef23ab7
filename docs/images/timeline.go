package main

import (
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// The measures of a timeline, in pixels.
const (
	second, row = 46.0, 30.0
	left, above = 64.0, 42.0
	seconds     = 13
)

const timelineHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]g %[2]g" width="%[1]g" height="%[2]g" role="img" aria-label="%[3]s">
<!-- Drawn by go run ./docs/images from the decisions of the daemon's own code. -->
<style>
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #3d4452 }
.title { font-weight: 700; fill: #191c22 } .dim { fill: #7a8190; font-size: 11px }
.grid { stroke: #e3e6ec } .waits { fill: #f3e3bd } .runs { fill: #4c8df0 } .ends { fill: #b5bdcb }
</style>
<rect width="%[1]g" height="%[2]g" rx="8" fill="#ffffff" stroke="#dfe2e8"/>
<text class="title" x="16" y="24">%[3]s</text>
`

// timeline draws what became of the deliveries of a control: pale while a job waits, blue while it
// runs, then its end.
func timeline(title string, spans []span) string {
	width, height := left+seconds*second+96, above+row*float64(len(spans))+30
	var b strings.Builder
	fmt.Fprintf(&b, timelineHead, width, height, html.EscapeString(title))
	for s := range seconds + 1 {
		x := left + float64(s)*second
		fmt.Fprintf(&b, `<path class="grid" d="M%g %gV%g"/><text class="dim" x="%g" y="%g">%ds</text>`+"\n", x, above-6, height-24, x-7, height-10, s)
	}
	at := func(d time.Duration) float64 { return left + d.Seconds()*second }
	for i, s := range spans {
		y := above + float64(i)*row
		fmt.Fprintf(&b, `<text x="16" y="%g">%s</text>`, y+16, html.EscapeString(s.label))
		from, to := at(s.arrived), at(s.end)
		if s.began >= 0 {
			stretch(&b, "waits", from, at(s.began), y)
			kind := "runs"
			if s.state != job.Succeeded {
				kind = "ends"
			}
			stretch(&b, kind, at(s.began), to, y)
		} else {
			stretch(&b, "waits", from, to, y)
		}
		fmt.Fprintf(&b, `<circle cx="%g" cy="%g" r="4" fill="#191c22"/><text x="%g" y="%g">%s</text>`+"\n", from, y+11, to+8, y+16, s.state)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func stretch(b *strings.Builder, class string, from, to, y float64) {
	if to > from {
		fmt.Fprintf(b, `<rect class="%s" x="%g" y="%g" width="%g" height="14" rx="3"/>`, class, from, y+4, to-from)
	}
}
