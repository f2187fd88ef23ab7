package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// The table of the document is between these lines; what people wrote around it stays.
const (
	begin = "<!-- written by go run ./internal/proof: begin -->"
	end   = "<!-- end -->"
)

// report writes the table into the document.
func report(path string, faults []fault, seen results, env []string, took time.Duration) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for the table: %q … %q", path, begin, end)
	}
	var b bytes.Buffer
	b.WriteString(before + begin + "\n\n")
	writeHead(&b, faults, seen, env, took)
	writeFigures(&b, faults, seen)
	writeFaults(&b, faults, seen)
	b.WriteString("\n" + end + after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func writeHead(b *bytes.Buffer, faults []fault, seen results, env []string, took time.Duration) {
	command := "go run ./internal/proof"
	if env != nil {
		command += " -long"
	}
	shown, skipped := 0, 0
	for _, f := range faults {
		switch f.seen(seen) {
		case "held":
			shown++
		default:
			skipped++
		}
	}
	fmt.Fprintf(b, "`%s` on %s, in %v, at commit %s: of %d faults %d are held by a test that passed, %d are not shown.\n\n",
		command, machine(), took.Round(time.Second), commit(), len(faults), shown, skipped)
	if env != nil {
		fmt.Fprintf(b, "Its repetitions: `%s`.\n\n", strings.Join(env, " "))
	}
}

// writeFigures lists what the tests counted.
func writeFigures(b *bytes.Buffer, faults []fault, seen results) {
	b.WriteString("### Figures\n\n| test | what it counted |\n|---|---|\n")
	done := map[string]bool{}
	for _, f := range faults {
		for _, t := range f.Tests {
			one := seen.of(t)
			if one == nil || one.outcome != "pass" || len(one.said) == 0 || done[t.Name] {
				continue
			}
			done[t.Name] = true
			fmt.Fprintf(b, "| `%s` | %s |\n", t.Name, cell(strings.Join(one.said, "; ")))
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

// seen is what the tests of a fault came to, in a word.
func (f *fault) seen(r results) string {
	if len(f.Tests) == 0 {
		return "not shown"
	}
	said := "held"
	for _, t := range f.Tests {
		switch one := r.of(t); {
		case one == nil:
			return "not run"
		case one.outcome == "fail":
			return "**failed**"
		case one.outcome == "skip":
			said = "skipped here"
		}
	}
	return said
}

// cell is text as a cell of a table holds it.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func machine() string {
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
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	release, _, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	return "Linux " + release
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
