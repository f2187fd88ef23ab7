package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiagnostics_AProblemCountsHoweverManyWarningsThereAre(t *testing.T) {
	var d Diagnostics
	for i := range 3 * maxDiagnostics {
		d.Warnf(Pos{"f", i + 1, 1}, "hm")
	}
	if d.Err() != nil {
		t.Error("warnings alone are an error")
	}
	d.Errorf(Pos{"f", 1, 1}, "no")
	if d.Err() == nil || !strings.Contains(d.Err().Error(), "f:1:1: no") {
		t.Errorf("the problem was lost: %v", d.Err())
	}
	for i := range 3 * maxDiagnostics {
		d.Errorf(Pos{"f", i + 1, 2}, "no")
	}
	if n := len(d.All()); n > 2*maxDiagnostics {
		t.Errorf("%d are kept", n)
	}
}

func TestDecode_SaysSoEvenWhenNoMoreIsListed(t *testing.T) {
	var src strings.Builder
	src.WriteString("list:\n")
	for range maxDiagnostics + 5 {
		src.WriteString("  - {a: b}\n")
	}
	f := parsed(t, src.String())
	var d Diagnostics
	var into struct {
		List []string `yaml:"list"`
	}
	f.Root.Decode(&into, &d)
	for _, node := range f.Root.Find("list").List() {
		var again string
		if node.Decode(&again, &d) {
			t.Fatal("a mapping was decoded as a text")
		}
	}
}

func TestDiagnostics_AreSortedAndSaidOnce(t *testing.T) {
	var d Diagnostics
	for range 2 {
		d.Errorf(Pos{"b", 1, 1}, "one")
		d.Errorf(Pos{"a", 2, 1}, "two")
		d.Errorf(Pos{"a", 2, 1}, "three")
		d.Errorf(Pos{"a", 1, 9}, "four")
	}
	var got []string
	for _, one := range d.All() {
		got = append(got, one.Pos.String()+" "+one.Message)
	}
	if diff := cmp.Diff([]string{"a:1:9 four", "a:2:1 two", "a:2:1 three", "b:1:1 one"}, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if got := d.Err().Error(); got != "a:1:9: four (and 3 more)" {
		t.Errorf("as an error: %s", got)
	}
	var none *Diagnostics
	if none.Err() != nil || len(none.All()) != 0 {
		t.Error("nothing is a problem")
	}
}

func TestDiagnostics_PointAtTheirPlace(t *testing.T) {
	for name, tt := range map[string]struct{ src, key, want string }{
		"a word":           {"a: one\n", "a", "1 | a: one\n  |    ^~~\n"},
		"behind tabs":      {"a:\t\tone\n", "a", "1 | a:\t\tone\n  |   \t\t^~~\n"},
		"behind wide ones": {"值值: one\n", "值值", "1 | 值值: one\n  |       ^~~\n"},
		"in quotes":        {`a: "on\te"` + "\n", "a", "1 | a: \"on\\te\"\n  |    ^~~~~~~\n"},
		"a block":          {"a: |\n  one\n", "a", "1 | a: |\n  |    ^\n"},
		"over lines":       {"a: one\n  two\n", "a", "1 | a: one\n  |    ^~~\n"},
		"a mapping":        {"a: {b: c}\n", "a", "1 | a: {b: c}\n  |    ^\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, d := Parse("f.yaml", []byte(tt.src), Options{})
			d.Errorf(f.Root.Find(tt.key), "no").Hint("yes")
			var out strings.Builder
			d.Print(&out, false)
			want := "f.yaml:1:" + fmt.Sprint(f.Root.Find(tt.key).Pos().Col) + ": no\n  |\n" + tt.want + "  hint: yes\nf.yaml: 1 problem\n"
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestDiagnostics_AreSafeToPrint(t *testing.T) {
	src := "a: " + strings.Repeat("x", 5000) + "\nb: 1\n"
	f, d := Parse("f.yaml", []byte(src), Options{})
	text := f.Root.Find("a").Text(d)
	d.Errorf(text.Span(4000, 4100), "bad \x1b[31m \u0085 news\nhooks.yaml: 0 problems").Hint("\x1b]0;title\a")
	for _, color := range []bool{false, true} {
		var out strings.Builder
		d.Print(&out, color)
		shown := out.String()
		for _, c := range []string{"\x1b[31m ", "\x1b]", "\a", "\u0085", "\nhooks.yaml: 0"} {
			if strings.Contains(shown, c) {
				t.Errorf("%q is printed", c)
			}
		}
		for line := range strings.Lines(shown) {
			if len(line) > 300 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
		if !strings.Contains(shown, "^~") {
			t.Error("no caret")
		}
	}
	out, err := json.Marshal(d.All())
	if err != nil || !strings.HasPrefix(string(out), `[{"severity":"problem","file":"f.yaml","line":1,"column":4004,`) {
		t.Errorf("%v %.200s", err, out)
	}
}

type at struct {
	error
	offset, width int
}

func (e at) Where() (offset, width int) { return e.offset, e.width }
func (e at) Advice() []string           { return []string{"advice"} }

func TestDiagnostics_PlaceAnErrorInsideItsScalar(t *testing.T) {
	f, d := Parse("f.yaml", []byte("a: |\n  one\n  two three\n"), Options{})
	text := f.Root.Find("a").Text(d)
	d.Within(text, at{errors.New("inside"), 8, 5})
	d.Within(text, at{errors.New("beyond"), 800, 5})
	d.Within(text, at{errors.New("before"), -8, -5})
	d.Within(text, errors.New("anywhere"))
	var got []string
	for _, one := range d.All() {
		got = append(got, fmt.Sprint(one.Pos.Line, ":", one.Pos.Col, " ", one.Width, " ", one.Message, one.Hints))
	}
	want := []string{"1:4 1 anywhere[]", "2:3 1 before[advice]", "3:7 5 inside[advice]", "4:1 1 beyond[advice]"}
	if diff := cmp.Diff(len(want), len(got)); diff != "" {
		t.Fatal(got)
	}
	for i, prefix := range []string{want[0], "2:3 1 before", want[2]} {
		if !strings.HasPrefix(got[i], strings.TrimSuffix(prefix, "[]")) {
			t.Errorf("got %q, want %q", got[i], prefix)
		}
	}
	if last := d.All()[3]; last.Pos.Line < 1 || last.Pos.Line > 4 {
		t.Errorf("an offset beyond the end is said to be at %s", last.Pos)
	}
}

// TestDiagnostics_ShowNoSecret says something of every line of files that hold a secret, in every
// way it can be written.
func TestDiagnostics_ShowNoSecret(t *testing.T) {
	const secret = "hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2"
	for name, src := range map[string]string{
		"plain":                       "secret: hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\n",
		"in quotes":                   "secret: 'hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2'\n",
		"in a list, on one line":      "verify: {scheme: hmac, secret: [hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2, other], header: X}\n",
		"with escapes":                "secret: \"\\x68unter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\"\n",
		"in a block":                  "secret: |\n  hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\n",
		"in a block of several lines": "secret: |\n  first line\n  hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\n",
		"folded":                      "secret: >-\n  hunter2-hunter2-hunter2-\n  hunter2-hunter2-hunter2-hunter2\n",
		"over lines":                  "secret: \"hunter2-hunter2-hunter2-\\\n  hunter2-hunter2-hunter2-hunter2\"\n",
		"twice":                       "secret: hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\nsecret: hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\n",
		"where a mapping should be":   "map: hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\nsecret: hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\n",
		"a token":                     "admin: {token: hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2}\n",
		"in a file that is no YAML":   "secret: hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2: x\n",
		"in one that is not closed":   "secret: \"hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\n",
		"as an anchor":                "secret: &x hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2\n",
	} {
		t.Run(name, func(t *testing.T) {
			f, d := Parse("f.yaml", []byte(src), Options{})
			if f != nil {
				var into struct {
					Map    map[string]string `yaml:"map"`
					Secret []Secret          `yaml:"secret"`
				}
				f.Root.Decode(&into, d)
			}
			for line := range strings.Count(src, "\n") {
				d.Errorf(Pos{"f.yaml", line + 1, 1}, "said of line %d", line+1)
			}
			var out strings.Builder
			d.Print(&out, false)
			asJSON, err := json.Marshal(d.All())
			if err != nil {
				t.Fatal(err)
			}
			if shown := out.String() + string(asJSON) + fmt.Sprint(d.Err()); strings.Contains(shown, "unter2-hunter2") {
				t.Errorf("shown:\n%s", shown)
			}
		})
	}
	dir := t.TempDir()
	save(t, filepath.Join(dir, "secret"), secret)
	f, d := Parse(filepath.Join(dir, "hooks.yaml"), []byte("flag: ${file:secret}\ncount: ${TOKEN}\nduration: ${TOKEN}\nsize: \"${file:secret}\"\nmust: x\n"), Options{Environ: []string{"TOKEN=" + secret}})
	f.Root.Decode(&decoded{}, d)
	d.Errorf(f.Root.Find("must"), "expected something, found %q", f.Root.Find("flag").Text(d).Value).Hint("write %q", secret)
	var out strings.Builder
	d.Print(&out, false)
	if n := len(d.All()); n != 5 || strings.Contains(out.String(), "hunter2") || strings.Contains(d.Error(), "hunter2") {
		t.Errorf("%d diagnostics:\n%s", n, out.String())
	}
}
