package daemon

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hooktest"
)

// readTests reads tests: and whether a reload must pass them.
func (c *Config) readTests(spec rootSpec, file *config.File, d *config.Diagnostics) {
	c.Tests = hooktest.Compile(spec.Tests, c.Hooks, file.Dir, d)
	switch text := spec.Reload.Tests; text.Value {
	case "", "optional":
	case "required":
		c.TestsRequired = true
	default:
		d.Errorf(text, "unknown value %q for reload.tests", text.Value).Hint("required, or leave it out")
	}
}

// TestsBeside reads the files *_test.yaml in the folder of the configuration. Problems of each
// file are in its own diagnostics.
func (c *Config) TestsBeside(o config.Options) (tests []*hooktest.Test, found []*config.Diagnostics) {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(o.Path), "*_test.yaml"))
	if err != nil {
		return nil, nil // the folder's name is no pattern that can be read
	}
	slices.Sort(files)
	for _, path := range files {
		file, d := config.Load(config.Options{Path: path, Environ: o.Environ})
		if file != nil {
			m := file.Root.Map(d)
			var spec struct {
				Tests config.Node `yaml:"tests,required"`
			}
			m.Decode(&spec)
			m.Close()
			tests = append(tests, hooktest.Compile(spec.Tests, c.Hooks, c.File.Dir, d)...)
		}
		found = append(found, d)
	}
	return tests, found
}

// failedTests runs the tests that a reload must pass, and makes problems of those that fail.
func (c *Config) failedTests(o config.Options, now time.Time) *config.Diagnostics {
	d := &config.Diagnostics{}
	tests, found := c.TestsBeside(o)
	for _, problems := range found {
		for _, p := range problems.All() {
			if p.Severity == config.Problem {
				d.Errorf(p.Pos, "%s", p.Message)
			}
		}
	}
	for _, result := range hooktest.Run(append(slices.Clone(c.Tests), tests...), now) {
		for _, diff := range result.Diffs {
			d.Errorf(result.At, "test %q failed: %s is %s, not %s", result.Name, diff.What, diff.Got, diff.Want)
		}
	}
	return d
}
