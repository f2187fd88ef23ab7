package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/migrate"
	"github.com/tenterhook/tenterhook/internal/migrate/adnanh"
	"github.com/tenterhook/tenterhook/internal/migrate/webhookd"
)

// importCmd is "import": one subcommand for each program whose configuration is read.
type importCmd struct {
	Adnanh   importAdnanhCmd   `cmd:"" name:"adnanh-webhook" help:"Make hooks.yaml of a hooks file of adnanh/webhook, in JSON or YAML."`
	Webhookd importWebhookdCmd `cmd:"" help:"Make hooks.yaml of a folder of scripts that webhookd ran."`
}

// imported says where what was made goes.
type imported struct {
	Out   string `short:"o" placeholder:"FILE" help:"Write it here instead of to standard output."`
	Force bool   `help:"Write over a file that is there."`
	JSON  bool   `name:"json" help:"Print one JSON document: the notes, and what was made."`
}

type importAdnanhCmd struct {
	File      string   `arg:"" placeholder:"FILE" help:"The hooks file: hooks.json or hooks.yaml; - is standard input."`
	Template  bool     `help:"It is a Go template (-template): getenv, cat and credential become references."`
	Prefix    string   `name:"urlprefix" default:"hooks" placeholder:"PATH" help:"What the paths begin with (-urlprefix; default hooks)."`
	Methods   string   `name:"http-methods" placeholder:"LIST" help:"The methods hooks take that say none (-http-methods), between commas."`
	Header    []string `sep:"none" placeholder:"NAME=VALUE" help:"A header of every answer (-header); repeatable."`
	IP        string   `name:"ip" placeholder:"ADDRESS" help:"The address to listen on (-ip). Default: 127.0.0.1."`
	Port      int      `placeholder:"N" help:"The port to listen on (-port). Default: 9000."`
	Socket    string   `placeholder:"FILE" help:"The unix socket to listen on (-socket)."`
	Elsewhere bool     `help:"The programs and folders are on another machine: do not look whether they are there."`
	Cert      string   `placeholder:"FILE" help:"With -secure, its certificate (-cert)."`
	Key       string   `placeholder:"FILE" help:"With -secure, its key (-key)."`
	imported
}

// Help is the longer text of the command.
func (importAdnanhCmd) Help() string {
	return `Reads the file as adnanh/webhook does and says the same in the words of hooks.yaml, with the old paths. What is different is a warning, and what cannot be said is a comment in the file; docs/migrating.md explains both. The flags are those that adnanh/webhook was started with. Nothing is started, and the hooks file is not changed.

Examples:

    tenterhook import adnanh-webhook hooks.json -o hooks.yaml
    tenterhook import adnanh-webhook /etc/webhook.conf --template --urlprefix "" --ip 0.0.0.0 -o hooks.yaml
    tenterhook check
`
}

// Run imports.
func (c *importAdnanhCmd) Run(e *env) error {
	if (c.Cert == "") != (c.Key == "") {
		return misuse(errors.New("--cert and --key belong together"))
	}
	for _, h := range c.Header {
		if !strings.Contains(h, "=") {
			return misuse(fmt.Errorf("--header is NAME=VALUE, found %q", h))
		}
	}
	src, err := readImport(c.File, e.stdin)
	if err != nil {
		return err
	}
	o := adnanh.Options{Template: c.Template, Prefix: c.Prefix, Headers: c.Header, Cert: c.Cert, Key: c.Key}
	for _, m := range strings.Split(c.Methods, ",") {
		if m = strings.ToUpper(strings.TrimSpace(m)); m != "" {
			o.Methods = append(o.Methods, m)
		}
	}
	switch {
	case c.Socket != "" && (c.IP != "" || c.Port != 0):
		return misuse(errors.New("--socket stands for --ip and --port"))
	case c.Socket != "":
		o.Listen = "unix:" + c.Socket
	case c.IP != "" || c.Port != 0:
		ip := net.ParseIP(cmp.Or(c.IP, "127.0.0.1"))
		if ip == nil {
			return misuse(fmt.Errorf("--ip is an address, found %q", c.IP))
		}
		o.Listen = net.JoinHostPort(ip.String(), fmt.Sprint(cmp.Or(c.Port, 9000)))
		o.Exposed = !ip.IsLoopback()
	}
	o.Check = func(src []byte) []string {
		return unsayable(src, filepath.Dir(cmp.Or(c.Out, ".")), o.Exposed, c.Elsewhere)
	}
	doc, notes := adnanh.Import(c.File, src, o)
	return c.finish(e, doc, notes)
}

type importWebhookdCmd struct {
	Dir       string        `arg:"" placeholder:"DIR" help:"The folder of the scripts (-hook-scripts)."`
	Extension string        `default:"sh" placeholder:"EXT" help:"Which may be left out of an address (-hook-default-ext; default sh)."`
	Timeout   time.Duration `default:"10s" placeholder:"TIME" help:"How long a script may take (-hook-timeout; default 10s)."`
	imported
}

// Help is the longer text of the command.
func (importWebhookdCmd) Help() string {
	return `Makes a hook of each script: its path is the address, its output the answer, the body its first argument. Parameters and headers are variables where the script mentions them.

Example:

    tenterhook import webhookd ./scripts -o hooks.yaml
`
}

// Run imports.
func (c *importWebhookdCmd) Run(e *env) error {
	if info, err := os.Stat(c.Dir); err != nil {
		return fail(fmt.Errorf("read the scripts: %w", err))
	} else if !info.IsDir() {
		return fail(fmt.Errorf("%s is no folder", c.Dir), "name the folder that the scripts are in")
	}
	if c.Timeout < time.Second || c.Timeout > time.Minute {
		return misuse(errors.New("--timeout is between 1s and 1m: the sender waits for the answer"))
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fail(err)
	}
	doc, notes := webhookd.Import(dir, os.DirFS(dir), webhookd.Options{Extension: strings.TrimPrefix(c.Extension, "."), Timeout: c.Timeout.String()})
	return c.finish(e, doc, notes)
}

// maxImport bounds a file that is imported.
const maxImport = 4 << 20

func readImport(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		src, err := io.ReadAll(io.LimitReader(stdin, maxImport+1))
		if err == nil && len(src) > maxImport {
			err = fmt.Errorf("it is larger than %d MiB", maxImport>>20)
		}
		if err != nil {
			return nil, fail(fmt.Errorf("read the hooks file: %w", err))
		}
		return src, nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fail(fmt.Errorf("read the hooks file: %w", err))
	case info.IsDir():
		return nil, fail(fmt.Errorf("%s is a folder", path), "name the hooks file in it")
	case info.Size() > maxImport:
		return nil, fail(fmt.Errorf("%s is larger than %d MiB", path, maxImport>>20))
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(fmt.Errorf("read the hooks file: %w", err))
	}
	return src, nil
}

var (
	references = regexp.MustCompile(`\$\{(file:|credential:|[A-Za-z_])[^{}\n]*\}`)
	// onThisMachine are problems that another machine may not have.
	onThisMachine = regexp.MustCompile(`^(program|folder) |is not a folder$`)
)

// unsayable compiles a configuration, and returns what is wrong with it; elsewhere leaves out what
// another machine would mend.
func unsayable(src []byte, dir string, exposed, elsewhere bool) []string {
	src = references.ReplaceAll(src, []byte("a-value-from-outside"))
	file, d := config.Parse("hooks.yaml", src, config.Options{Path: filepath.Join(dir, "hooks.yaml")})
	if file != nil {
		hook.Compile(file.Root.Find("hooks"), hook.Context{Dir: file.Dir, Exposed: exposed}, d)
	}
	var out []string
	for _, found := range d.All() {
		here := onThisMachine.MatchString(found.Message)
		switch {
		case found.Severity != config.Problem || here && elsewhere:
		case here:
			out = append(out, found.Message+" (on this machine; with --elsewhere it is carried over all the same)")
		default:
			out = append(out, found.Message)
		}
	}
	return out
}

// importReport is the JSON of an import.
type importReport struct {
	Hooks   int                 `json:"hooks"`
	Refused []string            `json:"refused"` // names of hooks that are comments
	Notes   []config.Diagnostic `json:"notes"`
	File    string              `json:"file,omitempty"`   // that was written
	Config  string              `json:"config,omitempty"` // what was made, when no file was written
}

// finish says what there is to say, and writes what was made.
func (c *imported) finish(e *env, doc *migrate.Document, notes []config.Diagnostic) error {
	report := importReport{Refused: []string{}, Notes: append([]config.Diagnostic{}, notes...)}
	if doc == nil {
		if c.JSON {
			if err := writeJSON(e.stdout, report); err != nil {
				return err
			}
		} else {
			e.problems(asSent(notes))
		}
		return broken(errors.New("nothing was imported"))
	}
	for _, h := range doc.Hooks {
		if h.Refused != "" {
			report.Refused = append(report.Refused, h.Name)
		} else {
			report.Hooks++
		}
	}
	text := doc.Bytes()
	if c.Out != "" {
		if err := writeNew(c.Out, text, c.Force); err != nil {
			return err
		}
		report.File = c.Out
	} else {
		report.Config = string(text)
	}
	if c.JSON {
		if err := writeJSON(e.stdout, report); err != nil {
			return err
		}
		return report.empty()
	}
	e.problems(asSent(notes))
	if c.Out == "" {
		if _, err := e.stdout.Write(text); err != nil {
			return err
		}
	}
	e.importSummary(report)
	return report.empty()
}

// empty is the error that nothing is left to start a daemon with.
func (r importReport) empty() error {
	if r.Hooks > 0 {
		return nil
	}
	return fail(errors.New("no hook was carried over: there is nothing to serve"))
}

func (e *env) importSummary(r importReport) {
	line := count(r.Hooks, "hook", "hooks") + " imported"
	if n := len(r.Refused); n > 0 {
		line += fmt.Sprintf(", %d not: see the comments", n)
	}
	if n := len(r.Notes); n > 0 {
		line += ", " + count(n, "warning", "warnings")
	}
	e.say("%s", line)
	if r.File != "" {
		e.say("wrote %s; next: tenterhook check %s", printable(r.File), printable(r.File))
	}
}

// writeNew writes a file that may hold secrets. One that is there is not written over.
func writeNew(path string, text []byte, force bool) (err error) {
	if _, err := os.Stat(path); err == nil && force {
		return replaceFile(path, text) // a daemon may be watching it
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fail(fmt.Errorf("%s is there already", path), "--force writes over it")
	}
	if err != nil {
		return fail(fmt.Errorf("write what was imported: %w", err))
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	_, err = f.Write(text)
	return err
}

// asSent are diagnostics in the form in which the daemon sends its own.
func asSent(notes []config.Diagnostic) []admin.Diagnostic {
	var out []admin.Diagnostic
	for _, n := range notes {
		out = append(out, admin.Diagnostic{
			Severity: n.Severity.String(), File: n.Pos.File, Line: n.Pos.Line, Column: n.Pos.Col, Message: n.Message, Hints: n.Hints,
		})
	}
	return out
}
