package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// grace is how long beyond its share of a budget a part may take to end what it began.
const grace = 10 * time.Minute

// run runs a part and returns what it saw, of subtests those that are named or said something. It
// never gives up: what cannot be run has failed.
func (p part) run(ctx context.Context, named map[string]bool, long bool, share time.Duration) results {
	began := time.Now()
	within := ""
	if share > 0 {
		within = fmt.Sprintf(", for %v", share.Round(time.Second))
	}
	say("%-12s %s%s", p.name, p.what, within)
	seen := results{}
	if len(p.fuzz) > 0 {
		seen = p.runFuzz(ctx, share)
	}
	for _, g := range p.groups {
		if len(g.names) > 0 && ctx.Err() == nil {
			seen.merge(p.runGroup(ctx, g, long, share))
		}
	}
	bad := 0
	for key, one := range seen {
		if one.Sub && one.Outcome == passed && len(one.Said) == 0 && !named[key] {
			delete(seen, key) // nobody asks for it
			continue
		}
		one.Part, one.Long, one.At, one.Commit, one.Machine = p.home(key), long, began.UTC().Truncate(time.Second), commit(), machine()
		if one.Outcome == failed && !one.Sub {
			bad++
		}
	}
	say("%-12s %d failed, %v", p.name, bad, time.Since(began).Round(time.Second))
	return seen
}

// say is progress for whoever watches.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// runGroup runs tests of one package.
func (p part) runGroup(ctx context.Context, g group, long bool, share time.Duration) results {
	seen := results{}
	for _, name := range g.names {
		seen[g.pkg+" "+name] = &result{Outcome: failed, Said: []string{"it did not end"}}
	}
	limit := 6 * time.Hour
	env := os.Environ()
	if share > 0 {
		if !p.whole {
			limit = share + grace
		}
		env = append(env, "TENTERHOOK_UNTIL="+strconv.FormatInt(time.Now().Add(share).Unix(), 10))
	}
	args := []string{"test", "./" + g.pkg, "-run", "^(" + strings.Join(g.names, "|") + ")$", "-count=1", "-json", "-timeout", limit.String()}
	if long {
		env, args = append(env, p.long...), append(args, p.args...)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Env, cmd.Stderr = env, os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		say("%-12s tests of %s: %v", p.name, g.pkg, err)
		return seen
	}
	p.read(out, g.pkg, seen)
	if err := cmd.Wait(); err != nil && !isExit(err) {
		say("%-12s tests of %s: %v", p.name, g.pkg, err)
	}
	return seen
}

func isExit(err error) bool {
	_, ok := errors.AsType[*exec.ExitError](err)
	return ok
}

// event is a line of go test -json, see go doc test2json.
type event struct {
	Action, Test, Output string
	Elapsed              float64
}

// read takes what go test says, and tells of failures and of progress as they come.
func (p part) read(out io.Reader, pkg string, seen results) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if e.Test == "" && e.Action == "build-output" {
			fmt.Fprint(os.Stderr, e.Output)
			continue
		}
		if e.Test != "" {
			seen.take(p.name, pkg, e)
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line beyond the bound must not stop the test
}

// logged is a line of t.Log.
var logged = regexp.MustCompile(`^ {4,}[a-z_0-9]+\.go:\d+: (.*)\n$`)

func (r results) take(part, pkg string, e event) {
	one := r[pkg+" "+e.Test]
	if one == nil {
		one = &result{Outcome: failed, Sub: strings.Contains(e.Test, "/")} // until it says otherwise
		r[pkg+" "+e.Test] = one
	}
	switch e.Action {
	case "run":
		one.Said = nil
	case "output":
		m := logged.FindStringSubmatch(e.Output)
		switch {
		case m == nil || strings.HasPrefix(m[1], "=== "): // of a test that runs another one
		case strings.HasPrefix(m[1], "progress: "):
			say("%-12s %s %s", part, e.Test, m[1][len("progress: "):])
		case len(one.Said) < 20:
			one.Said = append(one.Said, m[1])
		}
	case "pass", "fail", "skip":
		one.Outcome, one.Seconds = e.Action, e.Elapsed
		if e.Action == failed {
			say("%-12s FAILED %s: %s", part, e.Test, strings.Join(one.Said, "; "))
		}
	}
}
