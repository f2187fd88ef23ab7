package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/tenterhook/tenterhook/internal/config"
)

// fmtCmd is "fmt".
type fmtCmd struct {
	Files []string `arg:"" optional:"" placeholder:"FILE" help:"Files to format, instead of --config; - is standard input, and goes to standard output."`
	Check bool     `help:"Change nothing; list the files that are not formatted, and exit with 1 if there are any."`
	Diff  bool     `help:"Change nothing; print what would change, and exit with 1 if anything would."`
}

// Help is the longer text of the command.
func (fmtCmd) Help() string {
	return `Lays hooks.yaml out as one does: two spaces for each level, lists set in below their key, one space behind a colon or dash, no two empty lines in a row. Comments, order, quotes and the text of blocks stay. What it writes means what the file meant, or it writes nothing.

    tenterhook fmt
    tenterhook fmt --check hooks.yaml hooks.d/*.yaml
    tenterhook fmt --diff
    tenterhook fmt - < hooks.yaml`
}

// Run formats.
func (c fmtCmd) Run(e *env) error {
	files := c.Files
	if len(files) == 0 {
		files = []string{e.config}
	}
	unformatted, broke := 0, false
	for _, path := range files {
		changed, err := c.one(e, path)
		switch {
		case errors.Is(err, errBroken):
			broke = true
		case err != nil:
			return err
		case changed:
			unformatted++
		}
	}
	if broke {
		return said(exitConfig)
	}
	if unformatted > 0 && (c.Check || c.Diff) {
		return fail(fmt.Errorf("%s not formatted", count(unformatted, "file is", "files are")), `"tenterhook fmt" formats them`)
	}
	return nil
}

var errBroken = errors.New("the file cannot be formatted")

// one formats one file, and reports whether anything about it changes.
func (c fmtCmd) one(e *env, path string) (changed bool, err error) {
	var source []byte
	name := path
	if path == "-" {
		name = "standard input"
		source, err = io.ReadAll(io.LimitReader(e.stdin, 4<<20+1))
	} else {
		source, err = os.ReadFile(path)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	formatted, d := config.Format(name, source)
	if formatted == nil {
		d.Print(e.stderr, e.err.color)
		return false, errBroken
	}
	changed = !bytes.Equal(source, formatted)
	switch {
	case c.Diff:
		e.printDiff(diff.Diff(name, source, name+" (formatted)", formatted))
	case c.Check && changed:
		fmt.Fprintln(e.stdout, printable(name))
	case c.Check:
	case path == "-":
		_, err = e.stdout.Write(formatted)
	case changed:
		if err = replaceFile(path, formatted); err == nil {
			e.say("formatted %s", printable(path))
		}
	}
	return changed, err
}

// printDiff prints what changes, in colours at a terminal.
func (e *env) printDiff(text []byte) {
	for line := range bytes.Lines(text) {
		text, how := printable(string(bytes.TrimRight(line, "\n"))), plain
		switch {
		case bytes.HasPrefix(line, []byte("+")):
			how = green
		case bytes.HasPrefix(line, []byte("-")):
			how = red
		case bytes.HasPrefix(line, []byte("@@")), bytes.HasPrefix(line, []byte("diff ")):
			how = faint
		}
		fmt.Fprintln(e.stdout, e.out.paint(how, text))
	}
}

// replaceFile writes a file anew in one step, so that nobody ever sees half of it: a new file
// beside it takes its place. Its mode stays; so does its owner, where that is possible. A symbolic
// link stays one.
func replaceFile(path string, text []byte) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	fresh, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(fresh.Name()) // it is gone when all went well
	keepOwner(fresh, info)
	_, err = fresh.Write(text)
	err = errors.Join(err, fresh.Chmod(info.Mode().Perm()), fresh.Sync(), fresh.Close())
	if err == nil {
		err = os.Rename(fresh.Name(), target)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
