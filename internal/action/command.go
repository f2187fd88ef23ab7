package action

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/launch"
)

// path is where commands are looked for, and what they get as PATH.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// commandKeys are the keys that commands share.
var commandKeys = []string{"shell", "env", "stdin", "dir", "files", "user", "limits", "umask", "no_new_privs", "sandbox", "survive", "timeout", "grace"}

// commandSpec is what run: and exec: have in common.
type commandSpec struct {
	Env     config.Node    `yaml:"env" doc:"Variables of the command, templates. One whose value is missing is left out."`
	Stdin   config.Node    `yaml:"stdin" doc:"What the command reads, a template; otherwise the raw body."`
	Dir     config.Text    `yaml:"dir" doc:"The folder the command runs in; otherwise the configuration's."`
	Files   config.Node    `yaml:"files" doc:"{NAME: template}: the value in a private file whose path is in $NAME."`
	User    config.Text    `yaml:"user" doc:"user or user:group to run as; only for a daemon that runs as root."`
	Umask   config.Text    `yaml:"umask" doc:"Octal, such as \"027\"."`
	NoPrivs *bool          `yaml:"no_new_privs" doc:"true: setuid programs give nothing. On with user and sandbox."`
	Sandbox config.Node    `yaml:"sandbox" doc:"The only files and network the command reaches."`
	Survive bool           `yaml:"survive" doc:"The run goes on while the daemon restarts." default:"false"`
	Limits  config.Node    `yaml:"limits" doc:"What binds the run."`
	Timeout *time.Duration `yaml:"timeout" doc:"After it the whole process tree gets SIGTERM." default:"10m"`
	Grace   *time.Duration `yaml:"grace" doc:"Between SIGTERM and SIGKILL." default:"10s"`
}

// command is a compiled run: or exec:.
type command struct {
	kind    string
	argv    []*expression.Template // the first is constant
	text    string                 // of run:, for people
	env     []variable
	files   []variable
	stdin   *expression.Template // nil: the body
	dir     string
	timeout time.Duration
	grace   time.Duration
	output  int
	log     int64 // bytes of output that a file keeps, beside what the store does
	mask    *mask
	survive bool
	launch  launch.Spec
	bounds  launch.Bounds // of the run's control group
}

type variable struct {
	name  string
	value *expression.Template
}

// The bounds and defaults of commands.
const (
	defaultTimeout = 10 * time.Minute
	longestTimeout = 24 * time.Hour
	defaultGrace   = 10 * time.Second
	longestGrace   = 5 * time.Minute
	defaultOutput  = 256 << 10
	largestOutput  = 16 << 20
	largestValue   = 128<<10 - 1 // MAX_ARG_STRLEN of the kernel, with the closing NUL
	largestAll     = 1536 << 10  // of arguments and environment together; the kernel's bound is a quarter of the stack's, 2 MiB
)

func (c *command) Kind() string           { return c.kind }
func (c *command) Timeout() time.Duration { return c.timeout }
func (c *command) OutputLimit() int       { return c.output }
func (c *command) Survives() bool         { return c.survive }

// Retry of a command is none: what ran half may not bear to run twice.
func (c *command) Retry() job.RetryPolicy {
	return job.RetryPolicy{Attempts: 1, Initial: 10 * time.Second, Factor: 2, Max: time.Hour, Jitter: true}
}

// newCommand reads the keys that commands share.
func newCommand(kind string, m *config.Map, rule config.Node, c Context) *command {
	var spec commandSpec
	m.Decode(&spec)
	cmd := &command{kind: kind, timeout: defaultTimeout, grace: defaultGrace, output: defaultOutput, dir: c.Dir, mask: c.Mask.ofCommands()}
	d := c.Diagnostics
	if spec.Timeout != nil {
		cmd.timeout = *spec.Timeout
		if cmd.timeout <= 0 || cmd.timeout > longestTimeout {
			d.Errorf(rule.Find("timeout"), "timeout is between 1ms and %gh", longestTimeout.Hours())
		}
	}
	if spec.Grace != nil {
		cmd.grace = *spec.Grace
		if cmd.grace > longestGrace {
			d.Errorf(rule.Find("grace"), "grace is at most %s", longestGrace)
		}
	}
	cmd.readDir(spec.Dir, d)
	cmd.readBounds(&spec, c)
	if cmd.survive = spec.Survive; cmd.survive && cmd.launch.User != nil {
		d.Errorf(rule.Find("survive"), "survive and user: a run of another user cannot reach its folder yet").Hint("leave one of them out")
	}
	cmd.env = variables(spec.Env, c, true)
	cmd.files = variables(spec.Files, c, false)
	for _, f := range cmd.files {
		if slices.ContainsFunc(cmd.env, func(v variable) bool { return v.name == f.name }) {
			d.Errorf(spec.Files.Key(f.name), "%s is in env: too", f.name)
		}
	}
	if !spec.Stdin.IsZero() {
		cmd.stdin = template(spec.Stdin.Text(d), c)
	}
	return cmd
}

// readDir sets the folder the command runs in, which must be there.
func (c *command) readDir(dir config.Text, d *config.Diagnostics) {
	switch {
	case dir.Value == "":
		return
	case strings.Contains(dir.Value, "${{"):
		d.Errorf(dir, "dir is the same for every delivery").Hint("choose the folder in the script, from a variable")
		return
	case filepath.IsAbs(dir.Value):
		c.dir = dir.Value
	default:
		c.dir = filepath.Join(c.dir, dir.Value)
	}
	info, err := os.Stat(c.dir)
	switch {
	case err != nil:
		d.Errorf(dir, "folder %s does not exist", c.dir)
	case !info.IsDir():
		d.Errorf(dir, "%s is not a folder", c.dir)
	}
}

// variables reads names with templates: env: or files:.
func variables(node config.Node, c Context, env bool) []variable {
	if !node.IsZero() && node.Kind() != config.KindMap && node.Kind() != config.KindNull {
		c.Diagnostics.Errorf(node, "expected a mapping from names to values, found %s", node.Kind())
	}
	var out []variable
	for _, e := range node.Entries() {
		text := e.Value.Text(c.Diagnostics)
		value := template(text, c)
		if value == nil {
			continue
		}
		checkVariable(e.Key, value, env, c.Diagnostics)
		if env {
			checkConstant(text, value, c.Diagnostics)
		}
		out = append(out, variable{e.Key.Value, value})
	}
	return out
}

// dangerous are variables that change what a program is, not what it is told. From a payload
// they would be code.
var dangerous = []string{
	"BASH_ENV", "ENV", "IFS", "PS4", "SHELLOPTS", "BASHOPTS", "GLOBIGNORE", "PATH", "HOME", "SHELL", "NODE_OPTIONS", "NODE_PATH", "PYTHONSTARTUP", "PYTHONPATH",
	"PYTHONHOME", "PYTHONINSPECT", "PERL5OPT", "PERL5LIB", "PERLLIB", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "PAGER", "EDITOR",
	"PROMPT_COMMAND", "CDPATH", "TMPDIR", "GCONV_PATH", "LOCPATH", "HOSTALIASES", "RESOLV_HOST_CONF",
}

func isDangerous(name string) bool {
	for _, prefix := range []string{"LD_", "DYLD_", "BASH_FUNC_", "GIT_", "SSH_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains(dangerous, name)
}

func checkVariable(key config.Text, value *expression.Template, env bool, d *config.Diagnostics) {
	name := key.Value
	_, constant := value.Constant()
	switch {
	case !isVariableName(name) && !isHandedName(name):
		d.Errorf(key, "%q is not the name of a variable: letters, digits and _", name)
	case slices.Contains(ownVariables, name):
		d.Errorf(key, "%s is set by the daemon", name)
	case isDangerous(name) && (!constant || !env):
		d.Errorf(key, "%s from a payload would run code of the sender's choice", name).Hint("a constant value is allowed; pass the sender's under another name")
	}
}

func isVariableName(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// ownVariables are those that the daemon sets.
var ownVariables = []string{"HOOK_NAME", "HOOK_RULE", "HOOK_EVENT", "HOOK_DELIVERY", "HOOK_JOB", "HOOK_ATTEMPT", "HOOK_PAYLOAD_FILE"}

// isHandedName reports whether s is a name as adnanh/webhook made them, HOOK_head_commit.id or
// HOOK_X-Event. No shell can read one, other programs can.
func isHandedName(s string) bool {
	rest, ok := strings.CutPrefix(s, "HOOK_")
	return ok && isVariableName(strings.NewReplacer(".", "_", "-", "_").Replace("_"+rest))
}

// find looks a program up as exec will: by name in path, otherwise from dir.
func find(program, dir string) (string, error) {
	if !strings.ContainsRune(program, '/') {
		for _, folder := range filepath.SplitList(path) {
			if candidate := filepath.Join(folder, program); executable(candidate) == nil {
				return candidate, nil
			}
		}
		return "", fmt.Errorf("program %q is not in %s", program, path)
	}
	if !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	return program, executable(program)
}

func executable(program string) error {
	info, err := os.Stat(program)
	switch {
	case err != nil:
		return fmt.Errorf("program %s does not exist", program)
	case info.IsDir():
		return fmt.Errorf("program %s is a folder", program)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("program %s is not executable (chmod +x)", program)
	}
	return nil
}
