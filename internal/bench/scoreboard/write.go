package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-analyze/charts"
)

const (
	beginMark = "<!-- scoreboard: written by go run ./internal/bench/scoreboard -write docs -->"
	endMark   = "<!-- /scoreboard -->"
)

// write puts the board between the marks of performance.md in a folder, and the plots beside it.
func (b *board) write(folder string) error {
	file := filepath.Join(folder, "performance.md")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the board: %s … %s", file, beginMark, endMark)
	}
	if err := os.WriteFile(file, []byte(before+beginMark+"\n"+b.markdown()+endMark+after), 0o644); err != nil {
		return err
	}
	images := filepath.Join(folder, "images")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	return errors.Join(
		b.plot(filepath.Join(images, "performance-rates.svg"), "Answers per second", "%.0f", func(r row) float64 { return r.PerSec }),
		b.plot(filepath.Join(images, "performance-latency.svg"), "p99 of the answer, milliseconds", "%.1f", func(r row) float64 { return r.P99 }),
	)
}

// plot draws a bar for each row that has the figure.
func (b *board) plot(file, title, format string, of func(row) float64) error {
	var names []string
	var values []float64
	for i := len(b.Rows) - 1; i >= 0; i-- { // the first row is drawn at the top
		if v := of(b.Rows[i]); v > 0 {
			// The library measures a narrow font; what a browser takes instead may be wider.
			room := strings.Repeat("\u00a0", 2+len(b.Rows[i].Name)/4)
			names, values = append(names, b.Rows[i].Name+room), append(values, v)
		}
	}
	if len(values) == 0 {
		return nil
	}
	label := func(v float64) string { return fmt.Sprintf(format, v) }
	painter, err := charts.HorizontalBarRender([][]float64{values},
		charts.TitleTextOptionFunc(title), charts.YAxisLabelsOptionFunc(names), charts.SVGOutputOptionFunc(),
		charts.DimensionsOptionFunc(1100, 80+28*len(values)), charts.PaddingOptionFunc(charts.Box{Top: 16, Left: 16, Right: 72, Bottom: 8}),
		func(o *charts.ChartOption) {
			o.ValueFormatter = label
			o.XAxis.Show = charts.Ptr(false) // each bar has its figure
			for i := range o.SeriesList {
				o.SeriesList[i].Label.Show = charts.Ptr(true)
				o.SeriesList[i].Label.ValueFormatter = label
			}
		})
	if err != nil {
		return err
	}
	svg, err := painter.Bytes()
	if err != nil {
		return err
	}
	return os.WriteFile(file, svg, 0o644)
}
