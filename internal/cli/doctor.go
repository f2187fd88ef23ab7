package cli

import (
	"fmt"
	"slices"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/doctor"
)

// doctorCmd is "doctor".
type doctorCmd struct {
	Unit string `placeholder:"FILE" help:"Look at this systemd unit, instead of the installed one."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (doctorCmd) Help() string {
	return `Looks at everything around the daemon that can be wrong, and says how to mend it: the configuration and who may read it, the disk, the clock, the store, the addresses, the systemd unit, the kernel. It changes nothing, and works with the daemon running or not. The exit status is 1 when there is a problem; warnings alone are none.

    tenterhook doctor
    tenterhook doctor --unit ./tenterhook.service

Run it as the daemon's user: what that user may do is what counts.`
}

// diagnosis is the JSON of the command.
type diagnosis struct {
	OK       bool             `json:"ok"`
	Findings []doctor.Finding `json:"findings"`
}

// Run examines.
func (c doctorCmd) Run(e *env) error {
	s := &doctor.Subject{Path: e.config, Unit: c.Unit, Now: e.now()}
	s.Config, s.Diagnostics = daemon.Load(e.configuration(nil), false)
	if s.Config != nil && s.Diagnostics.Err() == nil {
		client := admin.NewClient(s.Config.Settings.Admin.Listen, string(s.Config.Settings.Admin.Token.Reveal()))
		_, err := client.Status(e.ctx)
		s.Running = err == nil
		_ = client.Close() // nothing was asked for that could be lost
	}
	d := diagnosis{Findings: doctor.Examine(e.ctx, s)}
	d.OK = !slices.ContainsFunc(d.Findings, func(f doctor.Finding) bool { return f.State == doctor.Problem })
	if c.JSON {
		if err := writeJSON(e.stdout, d); err != nil {
			return err
		}
	} else {
		e.showDiagnosis(d.Findings)
	}
	if !d.OK {
		return said(exitFailed)
	}
	return nil
}

// showDiagnosis prints a line for each finding, under its area, and the fix below it.
func (e *env) showDiagnosis(findings []doctor.Finding) {
	marks := map[doctor.State]string{
		doctor.OK: e.out.paint(green, "ok     "), doctor.Warning: e.out.paint(yellow, "warning"), doctor.Problem: e.out.paint(red, "problem"),
	}
	counts, area := map[doctor.State]int{}, ""
	for _, f := range findings {
		counts[f.State]++
		title := ""
		if f.Area != area {
			title, area = f.Area, f.Area
		}
		fmt.Fprintf(e.stdout, "%s  %s  %s\n", e.out.paint(bold, fmt.Sprintf("%-13s", title)), marks[f.State], printable(f.Says))
		if f.Fix != "" {
			fmt.Fprintf(e.stdout, "%24s%s\n", "", e.out.paint(faint, "→ ")+printable(f.Fix))
		}
	}
	how := e.out.paint(green, "no problems")
	if n := counts[doctor.Problem]; n > 0 {
		how = e.out.paint(red, count(n, "problem", "problems"))
	}
	if n := counts[doctor.Warning]; n > 0 {
		how += ", " + e.out.paint(yellow, count(n, "warning", "warnings"))
	}
	fmt.Fprintf(e.stdout, "\n%s\n", how)
}
