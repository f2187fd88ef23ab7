package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// runFuzz fuzzes every target of a package, for an hour together or as long as share says. An
// input that crashes one is kept by go test in the package's testdata, where it is a test from
// then on.
func (p part) runFuzz(ctx context.Context, share time.Duration) results {
	seen := results{}
	out, err := exec.CommandContext(ctx, "go", "test", "./"+p.fuzz, "-list", "^Fuzz").CombinedOutput()
	if err != nil {
		why := strings.Join(strings.Fields(string(out)), " ")
		seen[p.fuzz+" Fuzz"] = &result{Outcome: failed, Said: []string{fmt.Sprintf("its targets cannot be listed: %v: %.300s", err, why)}}
		return seen
	}
	var targets []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Fuzz") {
			targets = append(targets, strings.TrimSpace(line))
		}
	}
	if share == 0 {
		share = fuzzHour
	}
	for _, target := range targets {
		if ctx.Err() == nil {
			each := max(share/time.Duration(len(targets)), time.Second)
			say("%-12s %s for %v", p.name, target, each.Round(time.Second))
			seen[p.fuzz+" "+target] = fuzzOne(ctx, p.fuzz, target, each)
		}
	}
	return seen
}

// executed is how far go test -fuzz says it is.
var executed = regexp.MustCompile(`elapsed: [^,]+, execs: (\d+)`)

// buildTime is how long a fuzz target may take to build: it is compiled anew with all it needs, to
// count what is reached.
const buildTime = 5 * time.Minute

func fuzzOne(ctx context.Context, pkg, target string, d time.Duration) *result {
	ctx, cancel := context.WithTimeout(ctx, d+buildTime)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, "go", "test", "./"+pkg, "-run", "^$", "-fuzz", "^"+target+"$", "-fuzztime", d.Round(time.Second).String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it started is ended with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	one := &result{Outcome: failed}
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		one.Said = []string{err.Error()}
		return one
	}
	execs, last := "0", []string{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := executed.FindStringSubmatch(lines.Text()); m != nil {
			execs = m[1]
			continue
		}
		if last = append(last, strings.TrimSpace(lines.Text())); len(last) > 6 {
			last = last[1:]
		}
	}
	err = cmd.Wait()
	one.Seconds = time.Since(began).Seconds()
	if ctx.Err() != nil {
		one.Outcome, one.Said = skipped, []string{fmt.Sprintf("not done in its time, after %s executions", execs)}
		return one
	}
	if err != nil {
		one.Said = []string{strings.Join(last, " ")}
		say("FAILED %s after %s executions: %s", target, execs, one.Said[0])
		return one
	}
	one.Outcome, one.Said = passed, []string{fmt.Sprintf("none of %s executions of %s in %v broke a rule", execs, target, d.Round(time.Second))}
	return one
}
