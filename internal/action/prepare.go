package action

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
)

// Prepare renders the command.
func (c *command) Prepare(in *expression.Input, f Facts) (Prepared, error) {
	f.Event = strings.ReplaceAll(f.Event, "\x00", "")
	p := &preparedCommand{command: c, facts: f, body: in.Request.Body}
	if f.Burst != nil {
		p.body = f.Burst
	}
	p.stdin = p.body
	if err := checkValue("HOOK_EVENT=" + p.facts.Event); err != nil {
		return nil, fmt.Errorf("HOOK_EVENT: %w", err)
	}
	for i, t := range c.argv {
		s, _, err := t.Text(in)
		if err == nil {
			err = checkValue(s)
		}
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i, err)
		}
		p.argv = append(p.argv, s)
	}
	if err := p.renderEnv(in); err != nil {
		return nil, err
	}
	if err := p.checkAll(); err != nil {
		return nil, err
	}
	if c.stdin != nil {
		s, _, err := c.stdin.Text(in)
		if err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
		p.stdin = []byte(s)
	}
	return p, nil
}

func (p *preparedCommand) renderEnv(in *expression.Input) error {
	p.env, p.files = map[string]string{}, map[string]string{}
	for _, v := range p.command.env {
		s, present, err := v.value.Text(in)
		if err == nil {
			err = checkValue(v.name + "=" + s)
		}
		if err != nil {
			return fmt.Errorf("env %s: %w", v.name, err)
		}
		if present {
			p.env[v.name] = s
		}
	}
	for _, v := range p.command.files {
		s, present, err := v.value.Text(in)
		if err != nil {
			return fmt.Errorf("files %s: %w", v.name, err)
		}
		if present {
			p.files[v.name] = s
		}
	}
	return nil
}

// checkAll refuses arguments and variables that are too large together.
func (p *preparedCommand) checkAll() error {
	const pointer = 8
	total := len(p.facts.Event)
	for _, a := range p.argv {
		total += len(a) + 1 + pointer
	}
	for name, value := range p.env {
		total += len(name) + len(value) + 2 + pointer
	}
	if total > largestAll {
		return fmt.Errorf("arguments and env: all values together are larger than %d KiB: use stdin or files", largestAll>>10)
	}
	return nil
}

// checkConstant refuses at load what could never be passed.
func checkConstant(text config.Text, t *expression.Template, d *config.Diagnostics) {
	if s, constant := t.Constant(); constant {
		if err := checkValue(s); err != nil {
			d.Errorf(text, "%s", err)
		}
	}
}

// checkValue refuses what the kernel cannot pass.
func checkValue(s string) error {
	if strings.ContainsRune(s, 0) {
		return fmt.Errorf("the value holds a NUL byte, which no argument or variable can")
	}
	if len(s) > largestValue {
		return fmt.Errorf("the value is larger than %d KiB: use stdin or files", (largestValue+1)>>10)
	}
	return nil
}

// preparedCommand is a command with its values.
type preparedCommand struct {
	command *command
	facts   Facts
	argv    []string
	env     map[string]string
	files   map[string]string
	stdin   []byte
	body    []byte
	trace   map[string]string // TRACEPARENT and TRACESTATE, known when it runs
	input   *os.File          // what it reads, when that had to be opened early; start closes it
	whole   []string          // the environment, when it was made by another process; nil otherwise
}

// Describe implements Prepared.
func (p *preparedCommand) Describe() map[string]any {
	mask := p.command.mask
	out := map[string]any{"dir": p.command.dir, "timeout": p.command.timeout.String(), "stdin_bytes": len(p.stdin)}
	if p.command.kind == "run" {
		out["run"] = mask.text(p.command.text)
	} else {
		argv := make([]string, len(p.argv))
		for i, a := range p.argv {
			argv[i] = mask.text(a)
		}
		out["exec"] = argv
	}
	env := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.env)) {
		env[name] = mask.text(p.env[name])
	}
	out["env"] = env
	if len(p.files) > 0 {
		files := map[string]int{}
		for name, content := range p.files {
			files[name] = len(content)
		}
		out["file_bytes"] = files
	}
	return out
}

// environment is built from nothing: what the daemon was started with is not the command's.
func (p *preparedCommand) environment(dir string) []string {
	if p.whole != nil {
		return p.whole
	}
	f := p.facts
	env := []string{
		"PATH=" + path, "HOME=/", "LANG=C.UTF-8",
		"HOOK_NAME=" + f.Hook, "HOOK_RULE=" + f.Rule, "HOOK_EVENT=" + f.Event, "HOOK_DELIVERY=" + f.Delivery, "HOOK_JOB=" + f.Job,
		"HOOK_ATTEMPT=" + strconv.Itoa(f.Attempt), "HOOK_PAYLOAD_FILE=" + filepath.Join(dir, payloadFile),
	}
	env = appendVariables(env, identity())
	if u := p.command.launch.User; u != nil {
		env = append(env, "USER="+u.Name, "HOME="+u.Home)
	}
	env = appendVariables(env, p.trace)
	env = appendVariables(env, p.env)
	for name := range p.files {
		env = append(env, name+"="+filepath.Join(dir, filePrefix+name))
	}
	return lastOfEach(env)
}

func appendVariables(env []string, more map[string]string) []string {
	for name, value := range more {
		env = append(env, name+"="+value)
	}
	return env
}

// lastOfEach sorts variables by name and keeps of each name the one that came last.
func lastOfEach(env []string) []string {
	name := func(v string) string { return v[:strings.IndexByte(v, '=')] }
	slices.SortStableFunc(env, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	out := env[:0]
	for i, v := range env {
		if i+1 == len(env) || name(env[i+1]) != name(v) {
			out = append(out, v)
		}
	}
	return out
}
