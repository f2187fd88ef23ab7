package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead_TakesWhatATerminalShowsApart(t *testing.T) {
	seen := "\x1b[1mJOB\x1b[m  \x1b[2;32mok\x1b[0m\r\n50%\r\x1b[Kdone\r\n" + strings.Repeat("é", columns+1) + "\r\n"
	want := []line{
		{runs: []run{{text: "JOB", bold: true}, {text: "  "}, {text: "ok", color: "green", faint: true}}},
		{runs: []run{{text: "done"}}},
		{runs: []run{{text: strings.Repeat("é", columns)}}},
		{runs: []run{{text: "é"}}},
	}
	if diff := cmp.Diff(want, read(seen), cmp.AllowUnexported(line{}, run{})); diff != "" {
		t.Error(diff)
	}
}

func TestPicture_ShowsTextAsItIs(t *testing.T) {
	svg := picture([]line{{runs: []run{{text: "$ "}, {text: `echo "<&>"`, bold: true}}}})
	if !strings.Contains(svg, `<tspan x="36.8" class="bold">echo &#34;&lt;&amp;&gt;&#34;</tspan>`) {
		t.Error(svg)
	}
}
