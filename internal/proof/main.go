// Command proof runs what shows that the program survives the faults of catalogue.txt, and writes
// what it saw to docs/reliability.md.
//
//	go run ./internal/proof            the short form, as in CI
//	go run ./internal/proof -long      the form whose figures are published
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

// long is how much the long form does, by the variables that the tests read.
var long = []string{
	"TENTERHOOK_KILLS=1000", "TENTERHOOK_FLOW_KILLS=50", "TENTERHOOK_FLOW_JOBS=10000", "TENTERHOOK_POINT_REPEATS=30",
	"TENTERHOOK_POWER_CUTS=100", "TENTERHOOK_FAULTS=200", "TENTERHOOK_DISK_FULLS=50", "TENTERHOOK_COPIES=20000", "TENTERHOOK_COPY_KILLS=50",
	"TENTERHOOK_EDITS=2000", "TENTERHOOK_BUILD_TWICE=1",
	"TENTERHOOK_TIMING=1", "TENTERHOOK_ORPHANS=2000", "TENTERHOOK_SLOW=4000", "TENTERHOOK_FLEET_FAULTS=40", "TENTERHOOK_FLEET_JOBS=6000", "TENTERHOOK_FLEET_KEYS=1000",
}

func main() {
	isLong := flag.Bool("long", false, "repeat as often as the published figures say; takes hours")
	out := flag.String("o", "docs/reliability.md", "file whose table is written anew")
	only := flag.String("only", "", "only faults whose id begins so")
	flag.Parse()
	if err := prove(*isLong, *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

func prove(isLong bool, out, only string) error {
	faults, err := parseCatalogue(catalogueText)
	if err != nil {
		return fmt.Errorf("read catalogue: %w", err)
	}
	var env []string
	if isLong {
		env = long
	}
	seen, failed := results{}, 0
	began := time.Now()
	for _, group := range byPackage(faults, only) {
		fmt.Fprintf(os.Stderr, "%-28s %d tests …", group.pkg, len(group.names))
		at := time.Now()
		bad, err := seen.run(group, env)
		if err != nil {
			return err
		}
		failed += bad
		fmt.Fprintf(os.Stderr, " %d failed, %v\n", bad, time.Since(at).Round(time.Second))
	}
	if only == "" {
		if err := report(out, faults, seen, env, time.Since(began)); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d tests failed", failed)
	}
	return nil
}

// group is the tests of one package.
type group struct {
	pkg   string
	names []string
}

func byPackage(faults []fault, only string) (groups []group) {
	for _, f := range faults {
		if len(f.ID) < len(only) || f.ID[:len(only)] != only {
			continue
		}
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
