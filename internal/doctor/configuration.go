package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/tenterhook/tenterhook/internal/config"
)

func init() { register(check{10, "configuration", lookConfiguration}) }

func lookConfiguration(_ context.Context, s *Subject, r *report) {
	if _, err := os.Stat(s.Path); errors.Is(err, fs.ErrNotExist) {
		r.problem("tenterhook init", "there is no %s", s.Path)
		return
	}
	problems, warnings := 0, 0
	for _, d := range s.Diagnostics.All() {
		if d.Severity == config.Warning {
			warnings++
		} else {
			problems++
		}
	}
	switch {
	case problems > 0:
		r.problem("tenterhook check", "%s has problems (%d)", s.Path, problems)
	case warnings > 0:
		r.warn("tenterhook check", "%s has warnings (%d)", s.Path, warnings)
	default:
		r.ok("%s: hooks %d, digest %s", s.Path, len(s.Config.Hooks.Hooks()), s.Config.File.Digest)
	}
	for _, h := range s.hooks() {
		if h.Open {
			r.warn("give it provider: or verify:", "hook %s is not verified: whoever reaches it starts its rules", h.Name)
		}
	}
}
