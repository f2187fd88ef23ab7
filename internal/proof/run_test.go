package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPart_WhatCannotBeBuiltHasFailedAndIsWrittenDown(t *testing.T) {
	p := part{name: "lost", groups: []group{{"internal/nowhere", []string{"TestA", "TestB"}}}}
	seen := p.run(t.Context(), nil, false, 0)
	if len(seen) != 2 || seen.failures([]part{p}) != 2 {
		t.Errorf("%+v", seen)
	}
}

func TestRead_TakesWhatATestSaysAndNotItsProgress(t *testing.T) {
	seen := results{"internal/x TestGone": {Outcome: failed, Said: []string{"it did not end"}}}
	part{name: "x"}.read(strings.NewReader(`not JSON
{"Action":"run","Test":"TestA"}
{"Action":"output","Test":"TestA","Output":"    a_test.go:3: progress: 1 of 2\n"}
{"Action":"output","Test":"TestA","Output":"    a_test.go:3: none of 300 kills lost a job\n"}
{"Action":"pass","Test":"TestA","Elapsed":1.5}
{"Action":"run","Test":"TestA/cut_off"}
`), "internal/x", seen)
	a, cut := seen["internal/x TestA"], seen["internal/x TestA/cut_off"]
	if a.Outcome != passed || a.Seconds != 1.5 || !slices.Equal(a.Said, []string{"none of 300 kills lost a job"}) {
		t.Errorf("%+v", a)
	}
	if cut.Outcome != failed || seen["internal/x TestGone"].Outcome != failed {
		t.Error("a test that did not end has passed")
	}
}

func TestChoose_PartsByNameAndFaultsByID(t *testing.T) {
	faults, err := parseCatalogue(catalogueText)
	if err != nil {
		t.Fatal(err)
	}
	for only, want := range map[string]string{"kills,full": "kills full", "B3": "B3", "fuzz-s": "fuzz-senders fuzz-stored"} {
		chosen, err := choose(faults, options{long: true, only: only})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range chosen {
			names = append(names, p.name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s", only, got)
		}
	}
	if _, err := choose(faults, options{only: "kills,nothing"}); err == nil {
		t.Error("what is not there was chosen")
	}
	for _, p := range repeated {
		for _, g := range p.groups {
			for _, name := range g.names {
				if !functions(t, g.pkg)[name] {
					t.Errorf("part %s: %s has no test %s", p.name, g.pkg, name)
				}
			}
		}
	}
}

func TestHome_IsThePartThatATestBelongsTo(t *testing.T) {
	p := part{name: "B", picked: true}
	for key, want := range map[string]string{
		"internal/daemon TestStorageFault_NothingIsAcknowledgedFalsely/B3_fsync": "faults", "internal/daemon TestOther": "catalogue",
	} {
		if got := p.home(key); got != want {
			t.Errorf("%s belongs to %s", key, got)
		}
	}
	seen := results{"internal/x TestA": {Part: "kills"}, "internal/x TestB": {Part: "full"}}
	if seen.forget("kills"); len(seen) != 1 || seen["internal/x TestB"] == nil {
		t.Errorf("%v is left", seen)
	}
}

func TestClock_DividesWhatIsLeft(t *testing.T) {
	c := newClock(10*time.Minute, []part{{weight: 1}, {weight: 4}})
	first, ok := c.share(part{weight: 1})
	if !ok || first < 119*time.Second || first > 2*time.Minute {
		t.Errorf("the first may take %v", first)
	}
	if second, ok := c.share(part{weight: 4}); !ok || second < 599*time.Second {
		t.Errorf("the second, with nothing taken by the first, may take %v", second)
	}
	if d, ok := newClock(0, nil).share(part{weight: 1}); !ok || d != 0 {
		t.Errorf("without a budget: %v", d)
	}
}

func TestReport_PutsTheBoundBesideEachZero(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	faults := []fault{{ID: "A1", Section: "Crashes", Tests: []test{{"internal/x", "TestA"}}}, {ID: "A2", Section: "Crashes", Tests: []test{{"internal/x", "TestB"}}}}
	seen := results{
		"internal/x TestA": {Outcome: passed, Part: "kills", Said: []string{"none of 300000 deliveries was lost", "7 kills"}},
		"internal/x TestB": {Outcome: failed, Part: "kills", Said: []string{"none of 5 was lost"}},
	}
	if err := report(path, faults, seen); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n", "| none of the deliveries was lost | 300,000 | 1 in 100,000 | `TestA` |", "| 7 kills | `TestA` |",
		"Of 2 faults 1 are held by tests that passed, 1 are **failed**.", "\nafter\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(string(text), "none of the was lost") || strings.Contains(string(text), "old") {
		t.Errorf("what failed is a zero, or the old table is left: %s", text)
	}
}

func TestFuzzed_HasEveryTargetOfTheRepository(t *testing.T) {
	t.Chdir("../..")
	out, err := exec.Command("git", "grep", "-hoE", `^func Fuzz\w+\(`, "--", "*_test.go").Output()
	if err != nil {
		t.Skip("the targets are looked for with git, in a checkout:", err)
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(name), "func "), "(")
		if group := withTarget(name); len(group) != 1 || group[0].target != name {
			t.Errorf("%s is in %d groups of fuzz targets", name, len(group))
		}
	}
}
