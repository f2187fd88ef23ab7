package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

func TestFormat_LaysOutAsOneDoes(t *testing.T) {
	for name, pair := range map[string][2]string{
		"levels":           {"hooks:\n-   name: a\n    env:\n       A: b\n", "hooks:\n  - name: a\n    env:\n      A: b\n"},
		"gaps":             {"a:    1\nb:  [x]\nc:\n- 1\n-   2\n", "a: 1\nb: [x]\nc:\n  - 1\n  - 2\n"},
		"line ends":        {"a: 1   \r\nb: 2", "a: 1\nb: 2\n"},
		"empty lines":      {"\n\na: 1\n\n\n\nb: 2\n\n\n", "a: 1\n\nb: 2\n"},
		"comments":         {"# top\na:\n    # of b\n    b: 1   # behind\n    # below b\n# of c\nc:\n- x\n# end\n", "# top\na:\n  # of b\n  b: 1   # behind\n  # below b\n# of c\nc:\n  - x\n# end\n"},
		"commented out":    {"a:\n    - x: 1\n    # - y:\n    #     z: 2\n", "a:\n  - x: 1\n  # - y:\n  #     z: 2\n"},
		"a block of text":  {"a:\n    run: |\n        one\n          two   \n\n        # three\n    b: 1\n", "a:\n  run: |\n    one\n      two   \n\n    # three\n  b: 1\n"},
		"an exact indent":  {"a:\n    run: |1\n        one\n", "a:\n  run: |1\n      one\n"},
		"kept line ends":   {"a:\n    run: |+\n        one\n\n\n", "a:\n  run: |+\n    one\n\n\n"},
		"text over lines":  {"a:\n    b: one\n       two\n\n\n       three\n    c: 1\n", "a:\n  b: one\n     two\n\n\n     three\n  c: 1\n"},
		"quotes":           {"a:\n    b: \"one\n      # two\n      - three\"\n", "a:\n  b: \"one\n    # two\n    - three\"\n"},
		"braces":           {"a:\n    b:   {c: 1,\n          d: 'it''s }'}\n", "a:\n  b: {c: 1,\n      d: 'it''s }'}\n"},
		"lists of lists":   {"a:\n-   - 1\n    - 2\n-   - 3\n", "a:\n  - - 1\n    - 2\n  - - 3\n"},
		"a dash alone":     {"a:\n-\n    b: 1\n", "a:\n  -\n    b: 1\n"},
		"a value below":    {"a:\n    b:\n          word\n", "a:\n  b:\n        word\n"},
		"an expression":    {"a:\n    m:   any(x, # > 1)\n", "a:\n  m: any(x, # > 1)\n"},
		"other characters": {"é:   ü # ö\n", "é: ü # ö\n"},
		"in braces":        {"{a:   1}\n", "{a:   1}\n"},
		"an empty block":   {"a: |\nb:   1\n", "a: |\nb: 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, d := Format("hooks.yaml", []byte(pair[0]))
			if got == nil {
				t.Fatal(d.Err())
			}
			if diff := cmp.Diff(pair[1], string(got)); diff != "" {
				t.Error(diff)
			}
			formatKeeps(t, pair[0])
		})
	}
}

func TestFormat_RefusesWhatCannotBeRead(t *testing.T) {
	for source, want := range map[string]string{
		"a: [1\nb: 2\n":     "hooks.yaml:2:2: not YAML",
		"a: 1\na: 2\n":      `hooks.yaml:2:1: key "a" is there twice`,
		"a: &x 1\nb: *x\n":  "anchors and aliases",
		"":                  "the file is empty",
		"a: 1\n---\nb: 2\n": "a second document",
	} {
		got, d := Format("hooks.yaml", []byte(source))
		if got != nil || d.Err() == nil || !strings.Contains(d.Err().Error(), want) {
			t.Errorf("%q: %q, %v", source, got, d.Err())
		}
	}
}

// formatKeeps holds what Format promises against a reading of its own: the same values, the same
// comments, and nothing more to do the second time.
func formatKeeps(t interface{ Fatalf(string, ...any) }, source string) {
	once, d := Format("hooks.yaml", []byte(source))
	if once == nil {
		if strings.Contains(fmt.Sprint(d.Err()), "laid out anew") {
			t.Fatalf("not formatted: %s", source)
		}
		return
	}
	var was, is any
	if err := yaml.Unmarshal([]byte(source), &was); err != nil {
		t.Fatalf("%v", err)
	}
	if err := yaml.Unmarshal(once, &is); err != nil {
		t.Fatalf("%v\n%s", err, once)
	}
	if diff := cmp.Diff(was, is); diff != "" {
		t.Fatalf("it means something else:\n%s\n%s\n%s", diff, source, once)
	}
	comments := func(s string) (found []string) {
		for line := range strings.Lines(s) {
			if _, comment, ok := strings.Cut(line, "#"); ok {
				found = append(found, strings.TrimSpace(comment))
			}
		}
		return found
	}
	if !slices.Equal(comments(source), comments(string(once))) {
		t.Fatalf("other comments:\n%s\n%s", source, once)
	}
	twice, d := Format("hooks.yaml", once)
	if string(twice) != string(once) {
		t.Fatalf("the second time it changes again: %v\n%s\n%s\n%s", d.Err(), source, once, twice)
	}
}

func TestFormat_KeepsWhatAnyFileMeans(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := &untidy{r: r}
		w.mapping(0, 0)
		w.noise(0)
		formatKeeps(r, w.b.String())
	})
}

func TestFormat_KeepsWhatTheFilesOfThisRepositoryMean(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../../hooks.yaml", "../../examples/*/*.yaml", "../daemon/testdata/bad/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 100 {
		t.Fatalf("%d files", len(files))
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		formatKeeps(t, string(source))
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("a:\n-   b: |\n      c\n    # d\n")
	f.Add("a: {b: 'c',\n  d: e} # f\n")
	f.Fuzz(func(t *testing.T, source string) {
		if out, d := Format("hooks.yaml", []byte(source)); out == nil && d.Err() == nil {
			t.Fatal("neither formatted nor refused")
		} else if out != nil {
			again, _ := Format("hooks.yaml", out)
			if again == nil {
				t.Fatalf("what was formatted cannot be: %q", out)
			}
		}
	})
}

// untidy writes a random file as no one should: any indent, gaps, comments and kinds of values.
type untidy struct {
	r *rapid.T
	b strings.Builder
}

func (w *untidy) n(most int, what string) int { return rapid.IntRange(0, most).Draw(w.r, what) }

// noise writes comments and empty lines.
func (w *untidy) noise(column int) {
	for range w.n(2, "noise") {
		switch w.n(2, "kind of noise") {
		case 0:
			w.b.WriteString(strings.Repeat(" ", w.n(3, "blank")) + "\n")
		case 1:
			fmt.Fprintf(&w.b, "%s# comment: %d\n", strings.Repeat(" ", column), w.n(9, "comment"))
		}
	}
}

func (w *untidy) behind() string {
	return []string{"\n", "   \n", "  # behind\n"}[w.n(2, "behind")]
}

func (w *untidy) gap() string { return strings.Repeat(" ", 1+w.n(3, "gap")) }

func (w *untidy) mapping(column, depth int) {
	for i := range 1 + w.n(2, "keys") {
		if i > 0 || depth == 0 {
			w.noise(column)
			w.b.WriteString(strings.Repeat(" ", column))
		}
		fmt.Fprintf(&w.b, "k%d:", i)
		w.value(column, depth, true)
	}
}

func (w *untidy) list(column, depth int) {
	for i := range 1 + w.n(2, "items") {
		if i > 0 {
			w.noise(column)
			w.b.WriteString(strings.Repeat(" ", column))
		}
		w.b.WriteString("-")
		w.value(column, depth, false)
	}
}

// value writes what stands behind a colon or a dash, to the end of its lines.
func (w *untidy) value(column, depth int, key bool) {
	deeper := strings.Repeat(" ", column+1+w.n(4, "deeper"))
	switch kind := w.n(8, "kind"); {
	case kind == 0 && depth < 4 && key:
		w.b.WriteString(w.behind())
		below := column + 1 + w.n(4, "indent")
		w.noise(below)
		w.b.WriteString(strings.Repeat(" ", below))
		w.mapping(below, depth+1)
	case kind == 1 && depth < 4 && key:
		w.b.WriteString(w.behind())
		below := column + w.n(4, "indent")
		w.noise(below)
		w.b.WriteString(strings.Repeat(" ", below))
		w.list(below, depth+1)
	case kind <= 1 && depth < 4:
		gap := w.gap()
		w.b.WriteString(gap)
		if kind == 0 {
			w.mapping(column+1+len(gap), depth+1)
		} else {
			w.list(column+1+len(gap), depth+1)
		}
	case kind == 2:
		header := []string{"|", ">", "|-", "|+", ">+"}[w.n(4, "header")]
		fmt.Fprintf(&w.b, "%s%s%s%sone\n\n%s  - two: x  \n%s# three\n", w.gap(), header, w.behind(), deeper, deeper, deeper)
	case kind == 3:
		fmt.Fprintf(&w.b, "%s\"one\n%s- two: '\n\n%sthree\\\"\"%s", w.gap(), deeper, deeper, w.behind())
	case kind == 4:
		fmt.Fprintf(&w.b, "%s{a: [1,\n%s'}', \"]\"],\n%sb: it's}%s", w.gap(), deeper, deeper, w.behind())
	case kind == 5:
		fmt.Fprintf(&w.b, "%sone\n%stwo\n\n\n%sthree%s", w.gap(), deeper, deeper, w.behind())
	case kind == 6:
		fmt.Fprintf(&w.b, "\n%sbelow%s", deeper, w.behind())
	default:
		fmt.Fprintf(&w.b, "%sword%d%s", w.gap(), w.n(9, "word"), w.behind())
	}
}
