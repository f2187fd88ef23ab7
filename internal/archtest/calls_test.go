package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// refusedNames are names of the standard library that must not be used, and why.
var refusedNames = map[string]string{
	"Pdeathsig": "the signal comes when the thread that started the child ends, not the daemon (golang/go issue 27505)",
	"PDEATHSIG": "as Pdeathsig",
}

func TestSource_G8_HasNoParentDeathSignal(t *testing.T) {
	root, files := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files++
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok {
				for word, why := range refusedNames {
					if strings.Contains(name.Name, word) {
						t.Errorf("%s uses %s: %s", path, name.Name, why)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d files were looked at", files)
	}
}
