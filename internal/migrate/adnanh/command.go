package adnanh

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/migrate"
)

// command are the keys of the action.
func (t *translation) command() []migrate.Pair {
	h := t.hook
	if h.command == "" {
		t.warn(h.line, h.col, "it has no execute-command: it never ran anything")
		return []migrate.Pair{{Key: "run", Value: migrate.Text("false"), Comment: "there was no execute-command"}}
	}
	if strings.ContainsAny(h.command, " \t") {
		t.warn(h.line, h.col, "execute-command is one program with blanks in its name, here as there").Hint("arguments go into exec:, one by one")
	}
	program := h.command
	if h.dir != "" && !filepath.IsAbs(program) && !strings.Contains(program, "/") {
		program = "./" + program
	}
	if h.dir == "" && !filepath.IsAbs(program) && strings.Contains(program, "/") {
		t.warn(h.line, h.col, "%s is looked up from the folder of hooks.yaml, not from where the daemon was started", program)
	}
	exec := migrate.List{migrate.Text(t.constant(program))}
	for _, a := range h.arguments {
		exec = append(exec, migrate.Text(t.argument(a)))
	}
	keys := []migrate.Pair{{Key: "exec", Value: exec}}
	if h.dir != "" {
		keys = append(keys, migrate.Pair{Key: "dir", Value: migrate.Text(t.literal(h.dir))})
	}
	if env := t.environment(); len(env) > 0 {
		keys = append(keys, migrate.Pair{Key: "env", Value: env})
	}
	if files := t.files(); len(files) > 0 {
		keys = append(keys, migrate.Pair{Key: "files", Value: files})
	}
	return keys
}

// argument is an element of exec; one whose source nobody knows is empty, as in the peer.
func (t *translation) argument(a argument) string {
	r, ok := t.find(a)
	switch {
	case !ok:
		t.warn(a.line, a.col, "source %q with the name %q is unknown to adnanh/webhook, too: the argument was always empty", a.source, a.name)
		return ""
	case r.constant != nil:
		return t.constant(*r.constant)
	}
	return r.template()
}

// environment are the variables that a command is given.
func (t *translation) environment() migrate.Map {
	var out migrate.Map
	for _, a := range t.hook.environment {
		name := a.envname
		if name == "" {
			name = "HOOK_" + a.name
		}
		r, ok := t.find(a)
		if !ok {
			t.warn(a.line, a.col, "source %q with the name %q is unknown to adnanh/webhook, too: %s was never set", a.source, a.name, name)
			continue
		}
		value := r.template()
		if r.constant != nil {
			value = t.constant(*r.constant)
		}
		out = t.setVariable(out, a, name, migrate.Text(value), r.constant != nil)
	}
	return out
}

// setVariable adds a variable under its name, or under another one when its own cannot be had.
func (t *translation) setVariable(to migrate.Map, a argument, name string, value migrate.Value, constant bool) migrate.Map {
	pair := migrate.Pair{Key: name, Value: value}
	if now := variableName(name, constant); now != name {
		t.warn(a.line, a.col, "the variable %s is %s now: the old name is not allowed, or the daemon's own", name, now)
		pair.Key, pair.Comment = now, "was "+name
	} else if strings.ContainsAny(name, ".-") {
		t.once(a, "no shell can read a variable whose name has a dot or a dash, such as %s; name it with envname", name)
	}
	for i := range to {
		if to[i].Key == pair.Key {
			to[i] = pair // the last one counts
			return to
		}
	}
	return append(to, pair)
}

// own are the variables that the daemon sets.
var own = words("HOOK_NAME HOOK_RULE HOOK_EVENT HOOK_DELIVERY HOOK_JOB HOOK_ATTEMPT HOOK_PAYLOAD_FILE")

var (
	handed = regexp.MustCompile(`^HOOK_[A-Za-z0-9_.-]+$`)
	code   = regexp.MustCompile(`^(LD_|DYLD_|BASH_FUNC_|GIT_|SSH_).*|^(BASH_ENV|ENV|IFS|PS4|SHELLOPTS|BASHOPTS|GLOBIGNORE|PATH|HOME|SHELL|NODE_OPTIONS|NODE_PATH|PYTHON[A-Z]+|PERL[A-Z0-9]+|RUBY[A-Z]+|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|PAGER|EDITOR|PROMPT_COMMAND|CDPATH|TMPDIR|GCONV_PATH|LOCPATH|HOSTALIASES|RESOLV_HOST_CONF)$`)
	strip  = regexp.MustCompile(`[^A-Za-z0-9_]+`)
)

// variableName is the name a variable can have here: not the daemon's own, nor one by which a
// sender would choose what is run.
func variableName(name string, constant bool) string {
	switch {
	case own[name]:
		return "PEER_" + name
	case code.MatchString(name) && !constant:
		return "HOOK_" + name
	case handed.MatchString(name) || identifier.MatchString(name):
		return name
	}
	return "HOOK_" + strings.Trim(strip.ReplaceAllString(strings.TrimPrefix(name, "HOOK_"), "_"), "_")
}

// files are the values that a command is given in files, whose paths are in variables.
func (t *translation) files() migrate.Map {
	var out migrate.Map
	for _, a := range t.hook.files {
		name := a.envname
		if name == "" {
			name = "HOOK_" + strings.ToUpper(a.name)
		}
		r, ok := t.find(a)
		if !ok {
			t.warn(a.line, a.col, "source %q with the name %q is unknown to adnanh/webhook, too: there was no file", a.source, a.name)
			continue
		}
		value := r.text()
		switch {
		case a.base64:
			value = "${{ fromBase64(" + value + ") }}"
		case r.constant != nil:
			value = t.constant(*r.constant)
		default:
			value = "${{ " + value + " }}"
		}
		out = t.setVariable(out, a, name, migrate.Text(value), false)
	}
	return out
}

// warnOfWithheld warns where a command was given what proves the sender: it is not kept here, and
// so not handed on.
func (t *translation) warnOfWithheld(d divided) {
	h := t.hook
	for _, a := range slices.Concat(h.arguments, h.environment, h.files) {
		for _, c := range slices.Concat(d.proofs...) {
			source := map[string]string{"header": "header", "url": "query", "query": "query", "payload": "field"}[a.source]
			if source == c.place && (a.name == c.name || source == "header" && strings.EqualFold(a.name, c.name)) {
				t.warn(a.line, a.col, "%s proves the sender and is taken out before anything is kept: the command does not get it any more", a.name)
			}
		}
		if a.source == "header" && (strings.EqualFold(a.name, "Authorization") || strings.EqualFold(a.name, "Cookie")) {
			t.once(a, "%s is never kept: the command does not get it any more", a.name)
		}
	}
}
