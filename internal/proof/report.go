package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The tables of the document are between these lines; what people wrote around them stays.
const (
	begin = "<!-- written by go run ./internal/proof: begin -->"
	end   = "<!-- end -->"
)

// report writes the tables into the document.
func report(path string, faults []fault, seen results) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the tables: %q … %q", path, begin, end)
	}
	var b bytes.Buffer
	b.WriteString(before + begin + "\n\n")
	writeHead(&b, faults, seen)
	writeZeros(&b, seen)
	writeFigures(&b, seen)
	writeFaults(&b, faults, seen)
	b.WriteString("\n" + end + after)
	return replace(path, b.Bytes())
}

func writeHead(b *bytes.Buffer, faults []fault, seen results) {
	count := map[string]int{}
	for _, f := range faults {
		count[f.seen(seen)]++
	}
	fmt.Fprintf(b, "Of %d faults %d are held by tests that passed", len(faults), count[held])
	for _, word := range []string{broken, leftOut, notRun, notShown} {
		if count[word] > 0 {
			fmt.Fprintf(b, ", %d are %s", count[word], word)
		}
	}
	b.WriteString(".\n\n")
	b.WriteString("| part | begun | on | commit | repetitions |\n|---|---|---|---|---|\n")
	for _, p := range parts(faults, true) {
		keys := seen.ofPart(p.name, false)
		if len(keys) == 0 {
			continue
		}
		one, repetitions := seen[keys[0]], "short form"
		if len(p.long)+len(p.args) == 0 {
			repetitions = ""
		} else if one.Long {
			repetitions = "`" + strings.Join(append(slices.Clone(p.long), p.args...), " ") + "`"
		}
		fmt.Fprintf(b, "| %s: %s | %s | %s | %s | %s |\n", p.name, p.what, one.At.Format("2006-01-02 15:04"), one.Machine, one.Commit, repetitions)
	}
	b.WriteString("\nA part that had a budget did as many of its repetitions as it had time for; the tables below have what was done.\n\n")
}

// zero is how tests say that nothing went wrong.
var zero = regexp.MustCompile(`^none of (\d+) (.*)$`)

// writeZeros puts beside each zero what it means.
func writeZeros(b *bytes.Buffer, seen results) {
	b.WriteString("### Zeros\n\n| seen | trials | so that, at 95 %, fewer than | by |\n|---|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		_, name, _ := strings.Cut(key, " ")
		for _, said := range seen[key].Said {
			if m := zero.FindStringSubmatch(said); m != nil && seen[key].Outcome == passed {
				n, err := strconv.ParseInt(m[1], 10, 64)
				if err == nil {
					fmt.Fprintf(b, "| none of the %s | %s | %s | `%s` |\n", cell(m[2]), thousands(n), bound(n), cell(name))
				}
			}
		}
	}
	b.WriteString("\n")
}

// bound is the rule of three: no event in n trials says, at 95 %, that fewer than 3/n have one.
func bound(n int64) string {
	if n < 30 {
		return "nothing that is worth saying"
	}
	return "1 in " + thousands(n/3)
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// writeFigures lists what else tests counted.
func writeFigures(b *bytes.Buffer, seen results) {
	b.WriteString("### Figures\n\n| what was counted | by |\n|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		_, name, _ := strings.Cut(key, " ")
		for _, said := range seen[key].Said {
			if seen[key].Outcome == passed && !zero.MatchString(said) {
				fmt.Fprintf(b, "| %s | `%s` |\n", cell(said), cell(name))
			}
		}
	}
	b.WriteString("\n")
}

func writeFaults(b *bytes.Buffer, faults []fault, seen results) {
	section := ""
	for _, f := range faults {
		if f.Section != section {
			section = f.Section
			fmt.Fprintf(b, "\n### %s\n\n| | fault | what is right | seen | by |\n|---|---|---|---|---|\n", section)
		}
		var by []string
		for _, t := range f.Tests {
			by = append(by, "`"+t.Name+"`")
		}
		said := f.seen(seen)
		if f.Not != "" {
			by = append(by, f.Not)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", f.ID, cell(f.Fault), cell(f.Right), said, cell(strings.Join(by, ", ")))
	}
}

// What the tests of a fault can come to.
const (
	held     = "held"
	broken   = "**failed**"
	leftOut  = "skipped here"
	notRun   = "not run"
	notShown = "not shown"
)

// seen is what the tests of a fault came to, in a word.
func (f *fault) seen(r results) string {
	if len(f.Tests) == 0 {
		return notShown
	}
	said := held
	for _, t := range f.Tests {
		switch one := r.of(t); {
		case one == nil:
			return notRun
		case one.Outcome == failed:
			return broken
		case one.Outcome == skipped:
			said = leftOut
		}
	}
	return said
}

// cell is text as a cell of a table holds it.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

var machine = sync.OnceValue(func() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s, %s", runtime.NumCPU(), model, kernel(), runtime.Version())
})

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	release, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return "Linux " + release
}

var commit = sync.OnceValue(func() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
})
