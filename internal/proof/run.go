package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// result is what one test came to.
type result struct {
	outcome string // pass, fail, skip
	took    time.Duration
	said    []string // what it logged of figures, or why it was skipped
}

// results are by "package name", subtests included.
type results map[string]*result

func (r results) of(t test) *result { return r[t.Package+" "+t.Name] }

// run runs the tests of a package and returns how many failed.
func (r results) run(g group, env []string) (failed int, err error) {
	pattern := "^(" + strings.Join(g.names, "|") + ")$"
	cmd := exec.Command("go", "test", "./"+g.pkg, "-run", pattern, "-count=1", "-json", "-timeout", "6h")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("run the tests of %s: %w", g.pkg, err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Test != "" {
			failed += r.take(g.pkg, e)
		}
	}
	if err := cmd.Wait(); err != nil && failed == 0 {
		return 0, fmt.Errorf("tests of %s: %w", g.pkg, err)
	}
	return failed, nil
}

// event is a line of go test -json, see go doc test2json.
type event struct {
	Action, Test, Output string
	Elapsed              float64
}

// logged is a line of t.Log.
var logged = regexp.MustCompile(`^ {4,}[a-z_0-9]+\.go:\d+: (.*)\n$`)

func (r results) take(pkg string, e event) (failed int) {
	one := r[pkg+" "+e.Test]
	if one == nil {
		one = &result{}
		r[pkg+" "+e.Test] = one
	}
	switch e.Action {
	case "output":
		if m := logged.FindStringSubmatch(e.Output); m != nil && len(one.said) < 20 {
			one.said = append(one.said, m[1])
		}
	case "pass", "fail", "skip":
		one.outcome, one.took = e.Action, time.Duration(e.Elapsed*float64(time.Second))
		if e.Action == "fail" && !strings.Contains(e.Test, "/") {
			return 1
		}
	}
	return 0
}
