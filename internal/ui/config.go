package ui

import (
	"net/http"
	"strings"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// configData is what the page of the configuration shows.
type configData struct {
	admin.Status
	Problems []problem
	Warnings []problem
}

// problem is one finding with its place marked in its line.
type problem struct {
	admin.Diagnostic
	Before, At, After string // the source line around the place
}

func (u *UI) config(r *http.Request, _ *visit) (*view, error) {
	data := configData{Status: u.status(r.Context())}
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

func (u *UI) reload(r *http.Request, _ *visit) (to, said string, err error) {
	result, err := u.backend.Reload(r.Context())
	if err != nil {
		return "", "", err
	}
	switch {
	case refusing(admin.NewDiagnostics(result.Problems)) > 0:
		return "/config", "The files have problems: nothing was changed.", nil
	case result.Changed:
		return "/config", "Reloaded: digest " + result.Digest + " runs now.", nil
	}
	return "/config", "Nothing has changed on disk.", nil
}
