package main

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed catalogue.txt
var catalogueText string

// fault is something that can go wrong, and what shows that the right thing happens then.
type fault struct {
	ID, Section, Fault, Right string
	Tests                     []test
	Not                       string // why nothing shows it
}

// test is a Go test by its package's folder and its name, which may name a subtest.
type test struct{ Package, Name string }

// function is the name of the Go function.
func (t test) function() string {
	name, _, _ := strings.Cut(t.Name, "/")
	return name
}

// parseCatalogue reads the text, whose head says how it is written.
func parseCatalogue(text string) (faults []fault, err error) {
	section := ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "## "):
			section = line[3:]
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
			if len(faults) == 0 {
				return nil, fmt.Errorf("line %d: belongs to no fault", i+1)
			}
			if err := faults[len(faults)-1].shownBy(strings.TrimSpace(line)); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		default:
			parts := strings.SplitN(line, " | ", 3)
			if len(parts) != 3 {
				return nil, fmt.Errorf("line %d: a fault is \"ID | fault | what is right\"", i+1)
			}
			faults = append(faults, fault{ID: parts[0], Section: section, Fault: parts[1], Right: parts[2]})
		}
	}
	return faults, nil
}

func (f *fault) shownBy(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "test":
		pkg, name, ok := strings.Cut(rest, " ")
		if !ok {
			return fmt.Errorf("%q is not \"test PACKAGE NAME\"", line)
		}
		f.Tests = append(f.Tests, test{pkg, strings.TrimSpace(name)})
	case "not":
		f.Not = rest
	default:
		return fmt.Errorf("%q begins with neither test nor not", line)
	}
	return nil
}
