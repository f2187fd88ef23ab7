package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
)

// lastGood is the last configuration that worked, in a private file beside the store. It holds the
// files as they are written: what references come to is looked up at the next start.
type lastGood struct {
	Config string    `json:"config"` // absolute path of the main file
	Digest string    `json:"digest"`
	Saved  time.Time `json:"saved"`
	config.Snapshot
}

// keepLastGood writes down the configuration that runs now.
func (d *Daemon) keepLastGood() {
	conf := d.config.Load()
	err := writeLastGood(lastGoodPath(d.booted.Files), &lastGood{
		Config: absolute(d.options.Config.Path), Digest: conf.File.Digest, Saved: time.Now().UTC(), Snapshot: conf.File.Snapshot(),
	})
	if err != nil {
		d.log.Warn("this configuration is not kept for serve --last-good", "error", err)
	}
}

func lastGoodPath(store string) string { return store + ".last-good" }

// writeLastGood replaces the file at once, so that a crash leaves the old one or the new one, and
// at most one half written beside it, which the next takes the place of.
func writeLastGood(path string, kept *lastGood) error {
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep configuration: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep configuration: %w", err)
	}
	return nil
}

// loadFirst is the configuration to start with. When the files have problems and LastGood is
// asked for, it is the last one that worked, and broken says what is wrong with the files.
func (d *Daemon) loadFirst() (conf *Config, problems, broken *config.Diagnostics) {
	conf, problems = Load(d.options.Config, d.exposed)
	if problems.Err() == nil || !d.options.LastGood {
		return conf, problems, nil
	}
	kept, err := findLastGood(d.options.Config, conf)
	if err != nil {
		d.log.Error("there is no last configuration to start with", "error", err)
		return conf, problems, nil
	}
	o := d.options.Config
	o.Snapshot = &kept.Snapshot
	last, lastProblems := Load(o, d.exposed)
	if lastProblems.Err() != nil {
		d.log.Error("the last configuration that worked does not any more", "digest", kept.Digest, "saved", kept.Saved, "error", lastProblems.Error())
		return conf, problems, nil
	}
	d.log.Warn("the configuration has problems: starting with the last that worked", "digest", kept.Digest, "saved", kept.Saved)
	logProblems(d.log, "configuration refused", problems, kept.Digest, "start")
	return last, lastProblems, problems
}

// LastGood is the configuration that last worked in place of the file that o names, for those who
// look for its daemon while the file cannot be read; nil when none was kept.
func LastGood(o config.Options) *config.Snapshot {
	kept, err := findLastGood(o, nil)
	if err != nil {
		return nil
	}
	return &kept.Snapshot
}

// findLastGood reads what was kept for the file that is to be served. It is beside the store, and
// where that is a broken file may not be able to say: then what looks like its address is tried,
// and the default.
func findLastGood(o config.Options, conf *Config) (*lastGood, error) {
	var firstErr error
	for _, store := range likelyStores(o, conf) {
		kept, err := readLastGood(lastGoodPath(store))
		switch {
		case err == nil && kept.Config == absolute(o.Path):
			return kept, nil
		case err == nil:
			err = fmt.Errorf("%s was kept for %s", lastGoodPath(store), kept.Config)
		}
		if firstErr == nil || errors.Is(firstErr, fs.ErrNotExist) {
			firstErr = err
		}
	}
	return nil, firstErr
}

// storeAddress is a store's address in a file that cannot be parsed.
var storeAddress = regexp.MustCompile(`\burl:\s*["']?sqlite:(?://)?([^\s"',}#$]+)`)

// likelyStores are the files that may be the store, the likeliest first.
func likelyStores(o config.Options, conf *Config) (paths []string) {
	dir := filepath.Dir(absolute(o.Path))
	add := func(path string) {
		if path != "" && !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if conf != nil {
		add(conf.Settings.Files)
	}
	for _, pair := range o.Environ {
		if path, ok := strings.CutPrefix(pair, "TENTERHOOK_STORE__URL=sqlite:"); ok {
			add(strings.TrimPrefix(path, "//"))
		}
	}
	if text, err := os.ReadFile(o.Path); err == nil {
		for _, found := range storeAddress.FindAllSubmatch(text, 10) {
			add(string(found[1]))
		}
	}
	add("tenterhook.db")
	add("tenterhook") // of a store on a server
	for _, path := range latestFiles(dir, lastGoodPath("*")) {
		add(strings.TrimSuffix(path, lastGoodPath("")))
	}
	return paths
}

// latestFiles are those of a folder that fit a pattern, the one changed last first.
func latestFiles(dir, pattern string) []string {
	paths, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is sound
	changed := map[string]time.Time{}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			changed[path] = info.ModTime()
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return changed[b].Compare(changed[a]) })
	return paths[:min(len(paths), 10)]
}

func readLastGood(path string) (*lastGood, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the last configuration: %w", err)
	}
	kept := &lastGood{}
	if err := json.Unmarshal(data, kept); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return kept, nil
}

// firstState is the reload state a start leaves: a refused one when the files have problems and
// something else was started with.
func firstState(at time.Time, conf *Config, problems, broken *config.Diagnostics) *reloadState {
	s := &reloadState{At: at, OK: broken == nil, Result: admin.ReloadResult{Digest: conf.File.Digest, Problems: problems.All()}}
	if broken != nil {
		s.Result.Problems = broken.All()
	}
	return s
}
