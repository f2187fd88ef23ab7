package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The commands without the daemon are built for macOS, too (.ci/release). A build for it takes
// minutes, this an instant: what only a file of Linux declares, no file of every system may name.
func TestSystems_WhatLinuxHasIsDeclaredForOthersToo(t *testing.T) {
	folders := map[string]bool{}
	linux, err := filepath.Glob(filepath.Join("..", "..", "internal", "*", "*_linux.go"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join("..", "..", "internal", "*", "*", "*_linux.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(linux, deeper...) {
		folders[filepath.Dir(file)] = true
	}
	if len(folders) < 5 {
		t.Fatalf("%d packages have files of Linux", len(folders))
	}
	for folder := range folders {
		checkSystems(t, folder)
	}
}

func checkSystems(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	onLinux, elsewhere, named := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasSuffix(path, "_linux.go"):
			declared(file, onLinux)
		case strings.HasSuffix(path, "_other.go"):
			declared(file, elsewhere)
		default:
			declared(file, elsewhere)
			for _, unknown := range file.Unresolved {
				named[unknown.Name] = path
			}
		}
	}
	for name, path := range named {
		if onLinux[name] && !elsewhere[name] {
			t.Errorf("%s names %s, which only a file of Linux declares: declare it in an _other.go, too", path, name)
		}
	}
}

// declared adds the names that a file declares for its package.
func declared(file *ast.File, to map[string]bool) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				to[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					to[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						to[n.Name] = true
					}
				}
			}
		}
	}
}
