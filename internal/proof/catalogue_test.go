package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

func TestCatalogue_EachFaultIsShownByATestThatExistsOrSaysWhyNot(t *testing.T) {
	faults, err := parseCatalogue(catalogueText)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string]bool{}
	seen := map[string]bool{}
	for _, f := range faults {
		if seen[f.ID] {
			t.Errorf("%s is there twice", f.ID)
		}
		seen[f.ID] = true
		if len(f.Tests) == 0 && f.Not == "" {
			t.Errorf("%s (%s): nothing shows it, and nothing says why", f.ID, f.Fault)
		}
		for _, one := range f.Tests {
			if known[one.Package] == nil {
				known[one.Package] = functions(t, one.Package)
			}
			if !known[one.Package][one.function()] {
				t.Errorf("%s: %s has no test %s", f.ID, one.Package, one.function())
			}
		}
	}
	if len(faults) < 182 {
		t.Errorf("%d faults are left of 182", len(faults))
	}
}

// functions are the tests of a package, those for other systems included.
func functions(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

func TestParseCatalogue_RefusesWhatItCannotRead(t *testing.T) {
	for text, want := range map[string]string{
		"A1 | only a fault":      `line 1: a fault is "ID | fault | what is right"`,
		"  test internal/x Test": "line 1: belongs to no fault",
		"A1 | f | r\n  perhaps":  `line 2: "perhaps" begins with neither test nor not`,
		"A1 | f | r\n  test x":   `line 2: "test x" is not "test PACKAGE NAME"`,
	} {
		if _, err := parseCatalogue(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v instead of %s", text, err, want)
		}
	}
}
