// Package archtest holds the import table of the program as a test: arrows only go down.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tenterhook/tenterhook/"

// mayImport lists, for each package, the packages of this program it may import outside tests.
// A package that is not listed is a test failure: decide where it belongs, then add it.
var mayImport = map[string][]string{
	"cmd/tenterhook":             {"internal/cli"},
	"docs/images":                {"internal/job"},
	"internal/cli":               {"internal/migrate", "internal/migrate/adnanh", "internal/migrate/webhookd", "internal/doctor", "internal/backtest", "internal/daemon", "internal/hooktest", "internal/admin", "internal/hook", "internal/provider", "internal/verify", "internal/request", "internal/config", "internal/job", "internal/store", "internal/store/sqlite", "internal/store/postgres", "internal/search", "internal/sender"},
	"internal/doctor":            {"internal/daemon", "internal/hook", "internal/launch", "internal/config", "internal/store/sqlite", "internal/store/postgres"},
	"internal/daemon":            {"internal/fleet", "internal/backtest", "internal/crashpoint", "internal/hooktest", "internal/admin", "internal/ui", "internal/series", "internal/ingress", "internal/worker", "internal/hook", "internal/action", "internal/launch", "internal/config", "internal/job", "internal/store", "internal/store/sqlite", "internal/store/postgres", "internal/search", "internal/sender", "internal/pull", "internal/relay", "internal/tracing"},
	"docs":                       {},
	"internal/ui":                {"docs", "internal/panics", "internal/admin", "internal/backtest", "internal/hook", "internal/request", "internal/series", "internal/job", "internal/store"},
	"internal/ingress":           {"internal/tracing", "internal/panics", "internal/crashpoint", "internal/hook", "internal/request", "internal/job", "internal/store"},
	"internal/worker":            {"internal/tracing", "internal/panics", "internal/crashpoint", "internal/action", "internal/job", "internal/store"},
	"internal/admin":             {"internal/panics", "internal/hook", "internal/request", "internal/config", "internal/job", "internal/store"},
	"internal/hook":              {"internal/provider", "internal/verify", "internal/expression", "internal/action", "internal/request", "internal/config", "internal/job", "internal/sender", "internal/pull"},
	"internal/backtest":          {"internal/hook", "internal/request", "internal/job", "internal/store"},
	"internal/search":            {"internal/hook", "internal/job", "internal/store"},
	"internal/hooktest":          {"internal/verify", "internal/hook", "internal/request", "internal/config", "internal/job"},
	"internal/provider":          {"internal/verify", "internal/request", "internal/job"},
	"internal/launch":            {"internal/crashpoint"},
	"internal/action":            {"internal/crashpoint", "internal/launch", "internal/expression", "internal/verify", "internal/request", "internal/config", "internal/job"},
	"internal/expression":        {"internal/request", "internal/zones"},
	"internal/verify":            {"internal/request"},
	"internal/store/sqlite":      {"internal/store", "internal/store/codec", "internal/job", "internal/crashpoint"},
	"internal/store/codec":       {"internal/job"},
	"internal/store/storetest":   {"internal/store", "internal/job"},
	"internal/store":             {"internal/job"},
	"internal/request":           {},
	"internal/config":            {},
	"internal/crashpoint":        {},
	"internal/series":            {"internal/job"},
	"internal/panics":            {},
	"internal/tracing":           {"internal/job"},
	"internal/proof":             {},
	"internal/job":               {},
	"internal/zones":             {},
	"internal/archtest":          {},
	"internal/sender":            {},
	"internal/sender/sendertest": {},
	"internal/pull":              {},
	"internal/relay":             {"internal/pull", "internal/hook", "internal/panics", "internal/job"},
	"internal/pull/pulltest":     {},

	// A store for several machines, and the daemons on it.
	"internal/fleet":                       {"internal/worker", "internal/job", "internal/store", "internal/store/postgres"},
	"internal/store/postgres":              {"internal/store", "internal/store/codec", "internal/job"},
	"internal/store/postgres/postgrestest": {},

	// Measures the others; nothing imports it.
	"internal/bench/scoreboard": {"docs", "internal/daemon", "internal/provider", "internal/ingress", "internal/hook", "internal/config", "internal/job", "internal/store/sqlite"},

	// Other programs' configurations in our words.
	"internal/migrate":          {"internal/config"},
	"internal/migrate/adnanh":   {"internal/migrate", "internal/config"},
	"internal/migrate/webhookd": {"internal/migrate", "internal/config"},
}

func TestImports_OnlyGoDownTheTable(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		seen[pkg] = true
		checkFile(t, path, pkg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range mayImport {
		if !seen[pkg] && pkg != "internal/archtest" {
			t.Errorf("the table lists %s, which does not exist", pkg)
		}
	}
}

func checkFile(t *testing.T, path, pkg string) {
	t.Helper()
	allowed, listed := mayImport[pkg]
	if !listed {
		t.Errorf("package %s is not in the import table", pkg)
		return
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(imported, module)
		if ours && !slices.Contains(allowed, name) {
			t.Errorf("%s imports %s, which the import table does not allow %s", path, name, pkg)
		}
		if strings.Contains(imported, "expr-lang/expr") && pkg != "internal/expression" {
			t.Errorf("%s imports %s: only internal/expression knows the expression library", path, imported)
		}
	}
}
