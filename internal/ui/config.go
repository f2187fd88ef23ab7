package ui

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// configData is what the page of the configuration shows.
type configData struct {
	admin.Status
	Problems []problem
	Warnings []problem
	Reloads  []job.AuditEntry // the latest, that took something up or were refused; newest first
	Now      time.Time
}

// problem is one finding with its place marked in its line.
type problem struct {
	admin.Diagnostic
	Before, At, After string // the source line around the place
}

// The bounds of the history of reloads: how many are shown, and among how many entries of the
// audit log they are looked for.
const (
	shownReloads = 10
	auditLook    = 500
)

func (u *UI) config(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	data := configData{Status: u.status(ctx), Now: v.now}
	entries, err := u.backend.AuditLog(ctx, 0, auditLook)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Action == "reload" && len(data.Reloads) < shownReloads {
			data.Reloads = append(data.Reloads, e)
		}
	}
	for _, d := range data.Config.Problems {
		p := newProblem(d)
		if d.Severity == "warning" {
			data.Warnings = append(data.Warnings, p)
		} else {
			data.Problems = append(data.Problems, p)
		}
	}
	return &view{name: "config", title: "Configuration", nav: "config", data: data}, nil
}

// newProblem marks the word that begins at a finding's column.
func newProblem(d admin.Diagnostic) problem {
	line := []rune(d.Source)
	at := min(max(d.Column-1, 0), len(line))
	end := at
	for end < len(line) && !strings.ContainsRune(" \t,:)]}", line[end]) {
		end++
	}
	if end == at && end < len(line) {
		end++
	}
	return problem{d, string(line[:at]), string(line[at:end]), string(line[end:])}
}

func (u *UI) reload(r *http.Request, v *visit) (to, said string, err error) {
	result, err := u.backend.Reload(r.Context())
	ended := "ok"
	switch {
	case err != nil:
		ended = err.Error()
	case refusing(admin.NewDiagnostics(result.Problems)) > 0:
		ended, said = "refused: the configuration has problems", "The files have problems: nothing was changed."
	case result.Changed:
		said = "Reloaded: digest " + result.Digest + " runs now."
	default:
		said = "Nothing has changed on disk."
	}
	u.door.Audit(r, v.session.Who, "reload", result.Digest, ended)
	return "/config", said, err
}
