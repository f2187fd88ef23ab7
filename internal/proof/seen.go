package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// The ends of a test, as go test names them.
const (
	passed  = "pass"
	failed  = "fail"
	skipped = "skip"
)

// result is what one test came to.
type result struct {
	Outcome string    `json:"outcome"`
	Seconds float64   `json:"seconds"`
	Said    []string  `json:"said,omitempty"` // what it logged of figures, or why it was skipped
	Part    string    `json:"part"`
	At      time.Time `json:"at"`
	Commit  string    `json:"commit"`
	Machine string    `json:"machine"`
	Long    bool      `json:"long,omitempty"`
	Sub     bool      `json:"sub,omitempty"` // it is part of another test
}

// results are by "package name", subtests included.
type results map[string]*result

func (r results) of(t test) *result { return r[t.Package+" "+t.Name] }

// load reads what earlier runs saw; no file is nothing.
func load(path string) (results, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return results{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read earlier results: %w", err)
	}
	seen := results{}
	if err := json.Unmarshal(text, &seen); err != nil {
		return nil, fmt.Errorf("read earlier results of %s: %w", path, err)
	}
	return seen, nil
}

// save replaces the file in one step.
func (r results) save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	return replace(path, append(text, '\n'))
}

// replace writes a file in one step, so that one who is interrupted leaves the old one.
func replace(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return os.Rename(path+".new", path)
}

func (r results) merge(others results) { maps.Copy(r, others) }

// forget drops what was seen of a part.
func (r results) forget(part string) {
	maps.DeleteFunc(r, func(_ string, one *result) bool { return one.Part == part })
}

// ofPart are the tests of a part, in the order of their names.
func (r results) ofPart(name string, subtests bool) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(r)) {
		if r[key].Part == name && (subtests || !r[key].Sub) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (r results) failures(parts []part) (n int) {
	for _, p := range parts {
		for _, key := range r.ofPart(p.name, false) {
			if r[key].Outcome == failed {
				n++
			}
		}
	}
	return n
}

// summary says in a few lines what was done.
func (r results) summary(w io.Writer, parts []part) {
	fmt.Fprintln(w)
	for _, p := range parts {
		counts := map[string]int{}
		for _, key := range r.ofPart(p.name, false) {
			counts[r[key].Outcome]++
		}
		fmt.Fprintf(w, "%-22s %3d passed %3d failed %3d skipped\n", p.name, counts[passed], counts[failed], counts[skipped])
		for _, key := range r.ofPart(p.name, true) {
			one := r[key]
			switch {
			case one.Outcome == failed:
				fmt.Fprintf(w, "    FAILED %s: %s\n", key, strings.Join(one.Said, "; "))
			case p.name != "catalogue":
				for _, said := range one.Said {
					fmt.Fprintf(w, "    %s\n", said)
				}
			}
		}
	}
}
