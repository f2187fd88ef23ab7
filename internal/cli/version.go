package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is "version".
type versionCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (versionCmd) Help() string {
	return `Prints the version, the commit it was built from, and what it was built with: what a report of a fault needs.

    tenterhook version --json`
}

// build is which program this is.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"` // "" when it was built outside a repository
	Date     string `json:"date"`   // of the commit, RFC 3339; "" likewise
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	SQLite   string `json:"sqlite"` // version of the driver's module
}

// Run prints.
func (c versionCmd) Run(e *env) error {
	b := thisBuild()
	if c.JSON {
		return writeJSON(e.stdout, b)
	}
	fmt.Fprintf(e.stdout, "tenterhook %s\n", b.Version)
	commit := b.Commit
	if b.Modified {
		commit += " (modified)"
	}
	facts(e.stdout, e.out,
		[2]string{"commit", commit},
		[2]string{"date", b.Date},
		[2]string{"go", b.Go},
		[2]string{"platform", b.Platform},
		[2]string{"sqlite", b.SQLite},
	)
	return nil
}

// thisBuild reads what the linker noted.
func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	for _, m := range info.Deps {
		if m.Path == "modernc.org/sqlite" {
			b.SQLite = m.Version
		}
	}
	return b
}
