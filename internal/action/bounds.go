package action

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/launch"
)

// limitsSpec is limits:.
type limitsSpec struct {
	Output    *config.Size `yaml:"output" doc:"How much of an attempt's output is kept: its beginning and its end." default:"256KiB"`
	Log       *config.Size `yaml:"log" doc:"How much of it a file keeps from the beginning." default:"0"`
	Memory    *config.Size `yaml:"memory" doc:"Of all of a run; beyond it the run is killed."`
	FileSize  *config.Size `yaml:"file_size" doc:"The size of one file it writes."`
	CPU       *float64     `yaml:"cpu" doc:"Cores: 0.5 is half of one."`
	Processes *int         `yaml:"processes" doc:"Processes of a run."`
	Files     *int         `yaml:"files" doc:"Files open at once."`
}

// sandboxSpec is sandbox:.
type sandboxSpec struct {
	Read    []config.Text `yaml:"read" doc:"Files and folders it may read, beside programs and libraries."`
	Write   []config.Text `yaml:"write" doc:"Files and folders it may write, and read."`
	Network config.Text   `yaml:"network" doc:"loopback is one of its own, which nothing else listens on." default:"all"`
}

// largestLog is the most of an attempt's output that a file can hold.
const largestLog = 1 << 30

// leastMemory is what hardly a program runs with less of.
const leastMemory = 1 << 20

// readBounds reads what binds the command's processes.
func (c *command) readBounds(spec *commandSpec, x Context) {
	d := x.Diagnostics
	c.readUser(spec.User, d)
	c.readUmask(spec.Umask, d)
	c.readSandbox(spec.Sandbox, x)
	c.readLimits(spec.Limits, d)
	// Who gives rights up does not want them back through a setuid program.
	c.launch.NoNewPrivileges = c.launch.User != nil || c.launch.Sandbox != nil
	if spec.NoPrivs != nil {
		c.launch.NoNewPrivileges = *spec.NoPrivs
	}
}

func (c *command) readUser(text config.Text, d *config.Diagnostics) {
	if text.Value == "" {
		return
	}
	if strings.Contains(text.Value, "${{") {
		d.Errorf(text, "user is the same for every delivery")
		return
	}
	u, err := launch.LookupUser(text.Value)
	if err != nil {
		d.Errorf(text, "%s", err)
		return
	}
	if os.Getuid() != 0 && u.UID != os.Getuid() {
		d.Errorf(text, "only a daemon that runs as root can run commands as another user").
			Hint("leave user out, or let the command use sudo")
		return
	}
	if err := u.CanEnter(c.dir); err != nil {
		d.Errorf(text, "%s", err).Hint("dir is where the command starts; chmod or chown the folder, or choose another dir")
	}
	c.launch.User = u
}

func (c *command) readUmask(text config.Text, d *config.Diagnostics) {
	if text.Value == "" {
		return
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(text.Value, "0o"), 8, 16)
	if err != nil || n > 0o777 {
		d.Errorf(text, "umask is octal, such as 027")
		return
	}
	umask := int(n)
	c.launch.Umask = &umask
}

func (c *command) readLimits(node config.Node, d *config.Diagnostics) {
	if node.IsZero() {
		return
	}
	before := mistakes(d)
	m := node.Map(d)
	var spec limitsSpec
	m.Decode(&spec)
	m.Close()
	if spec.Output != nil {
		c.output = int(*spec.Output)
		if c.output < 1024 || c.output > largestOutput {
			d.Errorf(node.Find("output"), "output is between 1KiB and %dMiB", largestOutput>>20)
		}
	}
	if spec.Log != nil {
		if c.log = int64(*spec.Log); c.log > largestLog {
			d.Errorf(node.Find("log"), "log is at most %dGiB", largestLog>>30)
		}
	}
	atLeast := func(key string, v, least int64) uint64 {
		if v < least {
			d.Errorf(node.Find(key), "%s is at least %d, found %d", key, least, v)
		}
		return uint64(max(v, least))
	}
	if spec.Memory != nil {
		c.bounds.Memory = atLeast("memory", int64(*spec.Memory), leastMemory)
	}
	if spec.FileSize != nil {
		c.launch.FileSize = atLeast("file_size", int64(*spec.FileSize), 1)
	}
	if spec.Files != nil {
		c.launch.Files = atLeast("files", int64(*spec.Files), 4)
	}
	if spec.Processes != nil {
		c.bounds.Processes = atLeast("processes", int64(*spec.Processes), 1)
	}
	if spec.CPU != nil {
		if c.bounds.CPU = *spec.CPU; c.bounds.CPU < 0.01 {
			d.Errorf(node.Find("cpu"), "cpu is in cores: 0.5 is half of one, found %g", *spec.CPU)
		}
	}
	if mistakes(d) == before {
		c.enforce(node, d)
	}
}

// mistakes counts what is wrong so far: what cannot be meant needs nobody to hold it.
func mistakes(d *config.Diagnostics) (n int) {
	for _, one := range d.All() {
		if one.Severity != config.Warning {
			n++
		}
	}
	return n
}

// enforce finds a way to hold what the limits say: a control group, or else what the kernel holds
// for each process or user by itself. A limit that nothing holds is refused.
func (c *command) enforce(node config.Node, d *config.Diagnostics) {
	groups, known := launch.Taken()
	missing := groups.Missing(c.bounds)
	if !known && len(missing) > 0 {
		return // a daemon will find its control group, or refuse
	}
	const hint = "give the service a control group of its own: Delegate=yes in its unit"
	for _, name := range missing {
		switch {
		case name == "memory":
			c.launch.Data, c.bounds.Memory = c.bounds.Memory, 0
			d.Warnf(node.Find("memory"), "without a control group this holds for each process by itself, not for all of a run").Hint(hint)
		case name == "pids" && c.launch.User != nil && c.launch.User.UID != 0:
			c.launch.Processes, c.bounds.Processes = c.bounds.Processes, 0
			d.Warnf(node.Find("processes"), "without a control group this counts all processes of user %s, not those of a run", c.launch.User.Name).Hint(hint)
		case name == "pids":
			d.Errorf(node.Find("processes"), "nothing can hold this here: no control group was delegated").Hint(hint).Hint("or set user:, whose processes the kernel counts")
		default:
			d.Errorf(node.Find(name), "nothing can hold this here: no control group was delegated").Hint(hint)
		}
	}
}

var networks = []string{string(launch.NetworkAll), string(launch.NetworkLoopback), string(launch.NetworkNone)}

func (c *command) readSandbox(node config.Node, x Context) {
	if node.IsZero() {
		return
	}
	d := x.Diagnostics
	m := node.Map(d)
	var spec sandboxSpec
	m.Decode(&spec)
	m.Close()
	box := &launch.Sandbox{Network: launch.NetworkAll}
	if text := spec.Network; text.Value != "" {
		box.Network = launch.Network(text.Value)
		if !slices.Contains(networks, text.Value) {
			d.Errorf(text, "unknown network %q", text.Value).Hint("one of: %s", strings.Join(networks, ", "))
			return
		}
	}
	box.Read = paths(spec.Read, x)
	box.Write = paths(spec.Write, x)
	if len(spec.Read)+len(spec.Write) > 0 && !within(c.dir, append(slices.Concat(box.Read, box.Write), launch.Always...)) {
		d.Errorf(node, "dir %s is not among what the sandbox can read", c.dir).Hint("read: [.]")
	}
	if err := box.CanSandbox(); err != nil {
		d.Errorf(node, "%s", err)
		return
	}
	c.launch.Sandbox = box
}

// paths makes paths absolute that must be there.
func paths(texts []config.Text, x Context) (out []string) {
	for _, text := range texts {
		path := text.Value
		if strings.Contains(path, "${{") {
			x.Diagnostics.Errorf(text, "a sandbox is the same for every delivery")
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(x.Dir, path)
		}
		if _, err := os.Stat(path); err != nil {
			x.Diagnostics.Errorf(text, "%s does not exist", path).Hint("a file that the command is to make needs its folder in write:")
			continue
		}
		out = append(out, filepath.Clean(path))
	}
	return out
}

// within reports whether a path is one of the folders, or in one.
func within(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return path == folder || folder == "/" || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
	})
}

// group makes the control group of an attempt; nil where none was delegated.
func (p *preparedCommand) group() (*launch.Group, error) {
	groups, _ := launch.Taken()
	if groups == nil {
		if missing := groups.Missing(p.command.bounds); len(missing) > 0 {
			return nil, fmt.Errorf("no control group was delegated that could hold limits (%s)", strings.Join(missing, ", "))
		}
		return nil, nil
	}
	return groups.New(fmt.Sprintf("%s-%d-%s", p.facts.Job, p.facts.Attempt, strconv.FormatInt(int64(os.Getpid()), 36)+p.facts.Step), p.command.bounds)
}
