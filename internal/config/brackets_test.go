package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse_ReferencesNeedNoQuotesBetweenBrackets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "new"), []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := `# {not: read
a: [${file:new}, ${OLD}]   # a list while you rotate
b: {C: ${OLD}, D: ${NONE:-x y}, E: ${{ f(payload[0], {"g": 1}) }}, H: "${OLD}, \"q\""}
i: |
  [ ${OLD} ] {
j: [one, ${OLD}-two]
k: wrong
`
	f, d := Parse(filepath.Join(dir, "hooks.yaml"), []byte(src), Options{Environ: []string{"OLD=old"}})
	if d.Err() != nil {
		t.Fatal(d.Err())
	}
	var got struct {
		A []string          `yaml:"a"`
		B map[string]string `yaml:"b"`
		I Literal           `yaml:"i"`
		J []string          `yaml:"j"`
		K Text              `yaml:"k"`
	}
	f.Root.Map(d).Decode(&got)
	if d.Err() != nil {
		t.Fatal(d.Err())
	}
	for what, pair := range map[string][2]string{
		"a file":                  {got.A[0], "from a file"},
		"a variable":              {got.A[1], "old"},
		"in a mapping":            {got.B["C"], "old"},
		"a default":               {got.B["D"], "x y"},
		"a template":              {got.B["E"], `${{ f(payload[0], {"g": 1}) }}`},
		"in quotes":               {got.B["H"], `old, "q"`},
		"a text of its own":       {got.I.Value, "[ ${OLD} ] {\n"},
		"a part of a value":       {got.J[1], "old-two"},
		"a place behind all that": {got.K.Pos().String(), filepath.Join(dir, "hooks.yaml") + ":7:4"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q instead of %q", what, pair[0], pair[1])
		}
	}
}

func TestParse_WhatIsNoYAMLForAnotherReasonIsToldAsItIsWritten(t *testing.T) {
	for _, src := range []string{"a: [${OLD}, ${NEW}\nb: c\n", "a: [${OLD\nb: ]\nc: {\n"} {
		_, d := Parse("hooks.yaml", []byte(src), Options{Environ: []string{"OLD=1", "NEW=2"}})
		if d.Err() == nil {
			t.Errorf("%q is taken", src)
			continue
		}
		if first := d.All()[0]; !strings.Contains(first.Message, "not YAML") || strings.ContainsFunc(first.Message+first.Source, isPrivate) {
			t.Errorf("%q: %s in %q", src, first.Message, first.Source)
		}
	}
}
