package cli

import (
	"fmt"
	"slices"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hooktest"
)

// checkCmd is "check".
type checkCmd struct {
	File string `arg:"" optional:"" placeholder:"FILE" help:"Configuration to check, instead of --config."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (checkCmd) Help() string {
	return `Reads everything that "serve" reads and starts nothing. What passes here is what "serve" starts with. Then it runs the tests: of the file, and those of *_test.yaml beside it. The exit status is 3 when there are problems, and 1 when a test fails; warnings alone are no problem.`
}

// checked is the JSON of the command.
type checked struct {
	OK       bool                `json:"ok"`
	Digest   string              `json:"digest"`
	Files    []string            `json:"files"`
	Hooks    int                 `json:"hooks"`
	Rules    int                 `json:"rules"`
	Problems []config.Diagnostic `json:"problems"`
	Tests    []hooktest.Result   `json:"tests"`
}

// Run checks.
func (c checkCmd) Run(e *env) error {
	if c.File != "" {
		e.config = c.File
	}
	conf, d := daemon.Load(e.configuration(nil), false)
	result := checked{OK: d.Err() == nil, Problems: d.All()}
	if conf != nil {
		result.Digest, result.Files = conf.File.Digest, conf.File.Files
		for _, h := range conf.Hooks.Hooks() {
			result.Hooks++
			result.Rules += len(h.Rules)
		}
	}
	passed := true
	if result.OK {
		tests, beside := conf.TestsBeside(e.configuration(nil))
		for _, d := range beside {
			result.OK = result.OK && d.Err() == nil
			result.Problems = append(result.Problems, d.All()...)
			if !c.JSON {
				d.Print(e.stdout, e.out.color)
			}
		}
		result.Tests = hooktest.Run(append(slices.Clone(conf.Tests), tests...), e.now())
		passed = !slices.ContainsFunc(result.Tests, func(r hooktest.Result) bool { return !r.OK })
	}
	switch {
	case c.JSON:
		if err := writeJSON(e.stdout, result); err != nil {
			return err
		}
	case result.OK:
		d.Print(e.stdout, e.out.color)
		fmt.Fprintf(e.stdout, "%s: %s, %s, %s, digest %s\n", printable(e.config), e.out.paint(green, "ok"),
			count(result.Hooks, "hook", "hooks"), count(result.Rules, "rule", "rules"), result.Digest)
		e.testResults(result.Tests)
	default:
		d.Print(e.stdout, e.out.color)
	}
	switch {
	case !result.OK:
		return said(exitConfig)
	case !passed:
		return said(exitFailed)
	}
	return nil
}

// testResults prints how the tests of a configuration went: a line for each that failed, with
// what was expected and what came.
func (e *env) testResults(results []hooktest.Result) {
	if len(results) == 0 {
		return
	}
	failed := 0
	for _, r := range results {
		if r.OK {
			continue
		}
		failed++
		fmt.Fprintf(e.stdout, "%s %s\n", e.out.paint(bold, printable(r.At.String()+":")), e.out.paint(red, "test failed: ")+printable(r.Name))
		for _, diff := range r.Diffs {
			fmt.Fprintf(e.stdout, "  %s\n    %s %s\n    %s %s\n", printable(diff.What),
				e.out.paint(green, "- expected"), printable(diff.Want), e.out.paint(red, "+ came    "), printable(diff.Got))
			for _, r := range diff.Rules {
				fmt.Fprintf(e.stdout, "  rule %s  %s\n", printable(r.Rule), e.verdict(r.Verdict))
				e.condition("", r.Values, r.Error, false)
			}
		}
	}
	word := e.out.paint(green, "all passed")
	if failed > 0 {
		word = e.out.paint(red, fmt.Sprintf("%d failed", failed))
	}
	fmt.Fprintf(e.stdout, "%s: %s\n", count(len(results), "test", "tests"), word)
}
