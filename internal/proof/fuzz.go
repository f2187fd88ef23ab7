package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fuzzing is one target: a function of a package.
type fuzzing struct {
	pkg, name string
	binary    string // of the package's tests, counting what is reached
	corpus    string // where inputs that reached something new are kept, also for the next run
}

// runFuzz fuzzes every target of a part's packages, for an hour together or as long as share says, or
// the one that is asked for, as long as it has of that. The time is the processor's: a target that
// others crowd out takes longer and does as much. As many targets run at once as there are
// processors. An input that breaks one is kept by go test in the package's testdata, where it is a
// test from then on.
func (p part) runFuzz(ctx context.Context, share time.Duration) results {
	if share == 0 {
		share = fuzzHour
	} else {
		share *= time.Duration(runtime.NumCPU()) // a budget is a clock's
	}
	dir, err := os.MkdirTemp("", "proof-fuzz-")
	if err != nil {
		return results{p.name: {Outcome: failed, Said: []string{err.Error()}}}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	targets := p.targets()
	each := max(share/time.Duration(max(len(targets), 1)), time.Second)
	if p.target != "" {
		targets = slices.DeleteFunc(targets, func(f fuzzing) bool { return f.name != p.target })
	}
	seen := results{}
	targets = build(ctx, dir, targets, seen)
	var mu sync.Mutex
	var all sync.WaitGroup
	free := make(chan struct{}, runtime.NumCPU())
	for _, target := range targets {
		free <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-free }()
			say("%-12s %s for %v", p.name, target.name, each.Round(time.Second))
			one := target.run(ctx, each)
			mu.Lock()
			defer mu.Unlock()
			seen[target.pkg+" "+target.name] = one
		})
	}
	all.Wait()
	return seen
}

var fuzzFunction = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// targets are the functions of the part's packages that can be fuzzed.
func (p part) targets() (targets []fuzzing) {
	for _, pkg := range p.fuzz {
		files, _ := filepath.Glob(filepath.Join(pkg, "*_test.go")) // the pattern is a good one
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				continue // go test will say so
			}
			for _, m := range fuzzFunction.FindAllSubmatch(source, -1) {
				targets = append(targets, fuzzing{pkg: pkg, name: string(m[1])})
			}
		}
	}
	return targets
}

// build makes the binaries of targets, and returns those that have one. What cannot be built has failed.
func build(ctx context.Context, dir string, targets []fuzzing, seen results) (built []fuzzing) {
	for _, f := range targets {
		f.binary, f.corpus = filepath.Join(dir, strings.ReplaceAll(f.pkg, "/", "-")), corpus(f.pkg)
		if _, err := os.Stat(f.binary); err != nil {
			out, err := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz", ".", "-o", f.binary, "./"+f.pkg).CombinedOutput()
			if err != nil {
				why := strings.Join(strings.Fields(string(out)), " ")
				seen[f.pkg+" "+f.name] = &result{Outcome: failed, Said: []string{fmt.Sprintf("it cannot be built: %v: %.300s", err, why)}}
				continue
			}
		}
		built = append(built, f)
	}
	return built
}

// corpus is where go test -fuzz keeps what it finds of a package.
func corpus(pkg string) string {
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return filepath.Join(os.TempDir(), "proof-corpus", pkg)
	}
	return filepath.Join(strings.TrimSpace(string(cache)), "fuzz", "github.com/tenterhook/tenterhook", pkg)
}

// run fuzzes a target until it had d of processor time.
func (f fuzzing) run(ctx context.Context, d time.Duration) *result {
	began := time.Now()
	one := &result{Outcome: passed}
	execs, spent, rounds := 0, time.Duration(0), 0
	for spent < d-time.Second && one.Outcome == passed && ctx.Err() == nil {
		n, took, said := f.round(ctx, max(d-spent, 3*time.Second))
		execs, spent = execs+n, spent+took
		if rounds++; said != "" && ctx.Err() == nil {
			one.Outcome, one.Said = failed, []string{said}
			say("FAILED %s after %d executions: %s", f.name, execs, said)
		}
	}
	one.Seconds = time.Since(began).Seconds()
	switch {
	case one.Outcome == failed:
	case ctx.Err() != nil:
		one.Outcome, one.Said = skipped, []string{fmt.Sprintf("interrupted after %d executions", execs)}
	default:
		one.Said = []string{fmt.Sprintf("none of %d executions of %s in %v of processor time broke a rule", execs, f.name, spent.Round(time.Second))}
	}
	return one
}

// executed is how far go test -fuzz says it is.
var executed = regexp.MustCompile(`elapsed: [^,]+, execs: (\d+)`)

// round fuzzes for d of the clock, by one worker, and returns how often, in how much processor time, and
// what broke.
func (f fuzzing) round(ctx context.Context, d time.Duration) (execs int, spent time.Duration, broke string) {
	cmd := exec.CommandContext(ctx, f.binary, "-test.run", "^$", "-test.fuzz", "^"+f.name+"$", "-test.parallel", "1",
		"-test.fuzztime", d.Round(time.Second).String(), "-test.fuzzcachedir", f.corpus, "-test.fuzzminimizetime", "200x", "-test.timeout", "0")
	cmd.Dir = f.pkg // its testdata is there
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its worker with it
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		return 0, 0, err.Error()
	}
	last := []string{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := executed.FindStringSubmatch(lines.Text()); m != nil {
			execs, _ = strconv.Atoi(m[1]) // digits
		} else if last = append(last, strings.TrimSpace(lines.Text())); len(last) > 6 {
			last = last[1:]
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line beyond the scanner's bound must not stop it
	if err = cmd.Wait(); err != nil {
		broke = fmt.Sprintf("%v: %.1000s", err, strings.Join(last, " "))
	}
	if cmd.ProcessState != nil {
		spent = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return execs, spent, broke
}
