package cli

import (
	"fmt"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

// checkCmd is "check".
type checkCmd struct {
	File string `arg:"" optional:"" placeholder:"FILE" help:"Configuration to check, instead of --config."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (checkCmd) Help() string {
	return `Reads everything that "serve" reads and starts nothing. What passes here is what "serve" starts with. The exit status is 3 when there are problems; warnings alone are no problem.`
}

// checked is the JSON of the command.
type checked struct {
	OK       bool                `json:"ok"`
	Digest   string              `json:"digest"`
	Files    []string            `json:"files"`
	Hooks    int                 `json:"hooks"`
	Rules    int                 `json:"rules"`
	Problems []config.Diagnostic `json:"problems"`
}

// Run checks.
func (c checkCmd) Run(e *env) error {
	if c.File != "" {
		e.config = c.File
	}
	conf, d := daemon.Load(e.configuration(nil), false)
	result := checked{OK: d.Err() == nil, Problems: d.All()}
	if conf != nil {
		result.Digest, result.Files = conf.File.Digest, conf.File.Files
		for _, h := range conf.Hooks.Hooks() {
			result.Hooks++
			result.Rules += len(h.Rules)
		}
	}
	switch {
	case c.JSON:
		if err := writeJSON(e.stdout, result); err != nil {
			return err
		}
	case result.OK:
		d.Print(e.stdout, e.out.color)
		fmt.Fprintf(e.stdout, "%s: %s, %s, %s, digest %s\n", printable(e.config), e.out.paint(green, "ok"),
			count(result.Hooks, "hook", "hooks"), count(result.Rules, "rule", "rules"), result.Digest)
	default:
		d.Print(e.stdout, e.out.color)
	}
	if !result.OK {
		return said(exitConfig)
	}
	return nil
}
