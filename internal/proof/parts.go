package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// part is something that is run on its own.
type part struct {
	name   string
	what   string
	groups []group  // of tests, by package
	long   []string // the variables of the long form: how often
	args   []string // the arguments of the long form, for go test
	fuzz   []string // packages whose fuzz targets are run, instead of tests
	target string   // the one fuzz target that is run; "" for all of them
	picked bool     // it is the tests of some faults, or one fuzz target, which belong to other parts
	whole  bool     // its tests do not end before they are done, whatever the budget
	weight float64  // its part of a budget, in minutes of the long form
}

// repeated are the parts whose tests do as much as they are told to.
var repeated = []part{
	{
		name: "kills", what: "kill -9 at random moments under load", weight: 14, long: []string{"TENTERHOOK_KILLS=1000"},
		groups: daemonTests("TestCrash_AcknowledgedIsNeverLostAndNoAttemptStartsTwice"),
	},
	{
		name: "controls", what: "the same with every flow control", weight: 5, long: []string{"TENTERHOOK_FLOW_KILLS=50", "TENTERHOOK_FLOW_JOBS=10000"},
		groups: daemonTests("TestCrash_EveryControlHoldsWhenTheDaemonIsKilled"),
	},
	{
		name: "points", what: "a crash at every named point", weight: 8, long: []string{"TENTERHOOK_POINT_REPEATS=30"}, args: []string{"-parallel=8"},
		groups: daemonTests("TestCrashPoints_NothingIsLostAndNothingRunsTwice"),
	},
	{
		name: "power", what: "power cuts", weight: 6, long: []string{"TENTERHOOK_POWER_CUTS=100"},
		groups: daemonTests("TestPowerCut_A13_WhatWasAcknowledgedIsOnDisk"),
	},
	{
		name: "faults", what: "every Nth write and sync fails, for N up to 200", weight: 15, long: []string{"TENTERHOOK_FAULTS=200"}, args: []string{"-parallel=6"},
		groups: daemonTests("TestStorageFault_NothingIsAcknowledgedFalsely"),
	},
	{
		name: "full", what: "the disk is filled and freed", weight: 2, long: []string{"TENTERHOOK_DISK_FULLS=50"},
		groups: daemonTests("TestDiskFull_B1_IsOverWhenThereIsSpaceAgain"),
	},
	{
		name: "copies", what: "200,000 deliveries, 10 copies of each at once, and kills", weight: 8,
		long:   []string{"TENTERHOOK_COPIES=20000", "TENTERHOOK_COPY_KILLS=50"},
		groups: daemonTests("TestCrash_E12_CopiesInParallelStartOneJobThroughKills"),
	},
	{
		name: "edits", what: "edits of every save style under load", weight: 8, long: []string{"TENTERHOOK_EDITS=2000"},
		groups: daemonTests("TestReload_EverySaveStyleUnderLoad"),
	},
	{
		name: "slow", what: "4,000 slow connections beside others", weight: 1, long: []string{"TENTERHOOK_SLOW=4000"},
		groups: daemonTests("TestHostile_D1_SlowConnectionsAreCutAndTakeLittleFromOthers"),
	},
	{
		name: "orphans", what: "short runs with orphans", weight: 1, long: []string{"TENTERHOOK_ORPHANS=2000"},
		groups: daemonTests("TestHost_G6_ShortRunsWithOrphansLeaveNoZombies"),
	},
	{
		name: "fleet", what: "daemons on one database are killed and frozen", weight: 16,
		long:   []string{"TENTERHOOK_FLEET_FAULTS=100", "TENTERHOOK_FLEET_JOBS=100000", "TENTERHOOK_FLEET_KEYS=1000"},
		groups: daemonTests("TestFleet_EveryControlHoldsWhenNodesAreKilledAndFrozen"),
	},
	{
		name: "scheduler", what: "a million steps of the scheduler against its model", weight: 1, args: []string{"-rapid.checks=35000", "-rapid.nofailfile"},
		groups: []group{{"internal/job", []string{"TestFlow_AgreesWithAModel"}}},
	},
	{
		name: "pool", what: "lives of daemons on a store that fails, against their promises", weight: 1, args: []string{"-rapid.checks=10000", "-rapid.nofailfile"},
		groups: []group{{"internal/worker", []string{"TestPool_KeepsItsPromises"}}},
	},
	{
		name: "timing", what: "a t-test of how long a comparison takes", weight: 1, long: []string{"TENTERHOOK_TIMING=1"},
		groups: []group{{"internal/verify", []string{"TestTiming_DoesNotTellHowMuchIsRight"}}},
	},
	{
		name: "build", what: "two builds from nothing", weight: 4, long: []string{"TENTERHOOK_BUILD_TWICE=1"},
		groups: []group{{"internal/proof", []string{"TestBuild_M7_TwoBuildsAreTheSameFile"}}},
	},
}

func daemonTests(names ...string) []group { return []group{{"internal/daemon", names}} }

// fuzzed are the groups of fuzz targets, by who writes the bytes; each is fuzzed for an hour.
var fuzzed = []part{
	{name: "fuzz-senders", what: "what senders write: requests, bodies, signatures, streams", fuzz: []string{
		"internal/ingress", "internal/request", "internal/provider", "internal/verify", "internal/pull",
	}},
	{name: "fuzz-authors", what: "what authors write: files, rules, templates, files of others", fuzz: []string{
		"internal/config", "internal/expression", "internal/migrate/adnanh",
	}},
	{name: "fuzz-stored", what: "what comes back: rows of a store, output of commands, text for a screen", fuzz: []string{
		"internal/store/codec", "internal/action", "internal/cli",
	}},
}

// fuzzHour is how long a group is fuzzed, in processor time.
const fuzzHour = time.Hour

// parts are all there are: the catalogue's tests that are run as they are, those that repeat, and
// fuzzing, which only the long form does.
func parts(faults []fault, long bool) (all []part) {
	rest := part{name: "catalogue", what: "every other test of the catalogue", weight: 6, whole: true, groups: byPackage(faults)}
	for i := range rest.groups {
		rest.groups[i].names = slices.DeleteFunc(rest.groups[i].names, func(name string) bool { return isRepeated(rest.groups[i].pkg, name) })
	}
	all = append(all, rest)
	all = append(all, repeated...)
	if !long {
		return all
	}
	for _, p := range fuzzed {
		p.what, p.weight = "fuzzing of "+p.what, 30
		all = append(all, p)
	}
	return all
}

// home is the part that a test belongs to, also when it is run because of its fault.
func (p part) home(key string) string {
	if !p.picked || p.target != "" {
		return p.name
	}
	pkg, name, _ := strings.Cut(key, " ")
	for _, r := range repeated {
		if slices.ContainsFunc(r.groups, func(g group) bool { return g.pkg == pkg && slices.Contains(g.names, test{pkg, name}.function()) }) {
			return r.name
		}
	}
	return "catalogue"
}

func isRepeated(pkg, name string) bool {
	return slices.ContainsFunc(repeated, func(p part) bool {
		return slices.ContainsFunc(p.groups, func(g group) bool { return g.pkg == pkg && slices.Contains(g.names, name) })
	})
}

// choose returns what -only asks for: parts by the beginning of their name, fuzz targets by their
// name, which get what they have of their group's hour, and faults by the beginning of their id.
func choose(faults []fault, o options) (chosen []part, err error) {
	all := parts(faults, o.long)
	if o.only == "" {
		return all, nil
	}
	for _, word := range strings.Split(o.only, ",") {
		n := len(chosen)
		for _, p := range all {
			if strings.HasPrefix(p.name, word) {
				chosen = append(chosen, p)
			}
		}
		if len(chosen) == n && o.long && strings.HasPrefix(word, "Fuzz") {
			chosen = append(chosen, withTarget(word)...)
		}
		if len(chosen) > n {
			continue
		}
		some := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !strings.HasPrefix(f.ID, word) })
		if len(some) == 0 {
			return nil, fmt.Errorf("-only %s names no part and no fault; -list has the parts", word)
		}
		p := part{name: word, what: "what belongs to " + word, weight: 5, picked: true, groups: byPackage(some)}
		for _, r := range repeated {
			p.long = append(p.long, r.long...)
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// withTarget is the group of a fuzz target, without the others; nothing where there is none.
func withTarget(name string) (chosen []part) {
	for _, p := range fuzzed {
		if slices.ContainsFunc(p.targets(), func(f fuzzing) bool { return f.name == name }) {
			p.what, p.target, p.picked, p.weight = "fuzzing of "+p.what, name, true, 5
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// group is tests of one package.
type group struct {
	pkg   string
	names []string
}

func byPackage(faults []fault) (groups []group) {
	for _, f := range faults {
		for _, t := range f.Tests {
			i := slices.IndexFunc(groups, func(g group) bool { return g.pkg == t.Package })
			if i < 0 {
				i, groups = len(groups), append(groups, group{pkg: t.Package})
			}
			if !slices.Contains(groups[i].names, t.function()) {
				groups[i].names = append(groups[i].names, t.function())
			}
		}
	}
	return groups
}

func printParts() {
	for _, p := range parts(nil, true) {
		fmt.Printf("%-22s %-60s %s\n", p.name, p.what, strings.Join(append(slices.Clone(p.long), p.args...), " "))
	}
}
