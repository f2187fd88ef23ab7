package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse_RefusesWhatNoPersonCanHaveMeant(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"nothing":                      {"", "0:0: the file is empty"},
		"a comment alone":              {"# hooks:\n", "0:0: the file is empty"},
		"a document's begin alone":     {"---\n", "0:0: the file is empty"},
		"null":                         {"null", "1:1: a configuration is a mapping with hooks:, found nothing"},
		"an empty list":                {"[]", "1:1: a configuration is a mapping with hooks:, found a list"},
		"an empty mapping":             {"{}", "1:1: a configuration is a mapping with hooks:, found an empty one"},
		"a word":                       {"hooks", "1:1: a configuration is a mapping with hooks:, found a single value"},
		"two documents":                {"a: 1\n---\nb: 2\n", "2:1: a second document: a configuration is one YAML document"},
		"a key twice":                  {"a: 1\nb: 2\na: 3\n", `3:1: key "a" is there twice, first at line 1`},
		"a key twice, further down":    {"a:\n  - b: 1\n    b: 2\n", `3:5: key "b" is there twice, first at line 2`},
		"a key twice, once in quotes":  {"a: 1\n'a': 3\n", `2:1: key "a" is there twice, first at line 1`},
		"a key that is a list":         {"? [a]\n: b\n", "1:3: a key is a word, found a list"},
		"a merge key":                  {"a: {x: 1}\nb:\n  <<: {y: 1}\n", "3:3: merge keys (<<) are not part of this language"},
		"an anchor":                    {"a: &x 1\n", "1:4: anchors and aliases are not part of this language"},
		"an alias of itself":           {"a: &x [*x]\n", "1:4: anchors and aliases are not part of this language"},
		"an alias of nothing":          {"a: *x\n", "1:4: not YAML: unknown anchor 'x' referenced"},
		"a tag":                        {"a: !!binary aGk=\n", "1:4: tags such as !!binary are not part of this language"},
		"a tag of another language":    {"a: !include secret.yaml\n", "1:4: tags such as !include are not part of this language"},
		"a NUL byte":                   {"a: 1\nb: \x00\n", "2:4: a control character (U+0000)"},
		"another control character":    {"a: 1\nbé: x\x1b[0m\n", "2:6: a control character (U+001B)"},
		"bytes that are not UTF-8":     {"a: 1\nbé: x\xff\n", "2:6: not UTF-8"},
		"UTF-16":                       {"\xff\xfea\x00:\x00 \x001\x00", "1:1: not UTF-8"},
		"a tab for an indent":          {"a:\n\tb: 1\n", "2:1: not YAML: found character that cannot start any token"},
		"a quote that is never closed": {"a: 'x\nb: 2\n", "3:1: not YAML: found unexpected end of stream"},
		"a colon too many":             {"a: 1\nb: c: d\n", "2:5: not YAML: mapping values are not allowed in this context"},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := Parse("hooks.yaml", []byte(tt.src), Options{})
			if diff := cmp.Diff([]string{tt.want}, said(d)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestParse_TakesWhatEditorsWrite(t *testing.T) {
	for name, src := range map[string]string{
		"a byte order mark":            "\ufeffa: one\nb: two\n",
		"carriage returns":             "a: one\r\nb: two\r\n",
		"a mark and carriage returns":  "\ufeffa: one\r\nb: two\r\n",
		"no line end":                  "a: one\nb: two",
		"a document's begin and end":   "---\na: one\nb: two\n...\n",
		"comments and blanks":          "# hi\n\n  \na: one # there\n\nb: two\n\n\n",
		"tabs after values":            "a: one\t# there\nb:\ttwo\t\n",
		"words that were booleans":     "a: one\nb: two\nc: [no, off, y, ~]\n",
		"braces":                       "{a: one, b: two}",
		"JSON":                         `{"a": "one", "b": "two"}`,
		"letters of every kind":        "a: one\nb: two\nκλειδί: 値 🎉\n",
		"a line with nothing but a \\": "a: one\nb: two\nc: \"x\\\n  y\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := parsed(t, src)
			var d Diagnostics
			if a, b := f.Root.Find("a").Text(&d).Value, f.Root.Find("b").Text(&d).Value; a != "one" || b != "two" {
				t.Errorf("read %q and %q", a, b)
			}
			if pos := f.Root.Find("a").Pos(); pos.Line < 1 || pos.Col < 1 || !strings.HasPrefix(f.Root.Find("a").source().lines[pos.Line-1][pos.Col-1:], "one") && name != "JSON" {
				t.Errorf("a is said to be at %s", pos)
			}
		})
	}
}

func TestParse_BombsAreRefusedSoon(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [lol]\n")
	for i := 1; i < 12; i++ {
		n, m := string(rune('a'+i)), string(rune('a'+i-1))
		if i == 1 {
			m = "a0"
		}
		laughs.WriteString(n + ": &" + n + " [" + strings.Repeat("*"+m+",", 9) + "*" + m + "]\n")
	}
	for name, src := range map[string]string{
		"a billion laughs":        laughs.String(),
		"lists in lists":          "a: " + strings.Repeat("[", 100_000),
		"closed lists in lists":   "a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"mappings in mappings":    strings.Repeat("{a: ", 100_000),
		"dashes":                  strings.Repeat("- ", 100_000),
		"indents":                 indents(2000),
		"just too deep":           "a: " + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		"far too many items":      "a: [" + strings.Repeat("1,", 300_000) + "]",
		"far too many keys":       manyKeys(110_000),
		"question marks":          strings.Repeat("? ", 100_000),
		"aliases without anchors": "a: [" + strings.Repeat("*a,", 100_000) + "]",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			f, d := Parse("hooks.yaml", []byte(src), Options{})
			if d.Err() == nil || f != nil {
				t.Error("taken")
			}
			if took := time.Since(began); took > 20*time.Second { // the race detector is slow
				t.Errorf("took %v", took)
			}
			for _, one := range d.All() {
				if len(one.Message) > 300 {
					t.Errorf("said in %d bytes", len(one.Message))
				}
			}
		})
	}
	if _, d := Parse("hooks.yaml", []byte("a: "+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)), Options{}); d.Err() != nil {
		t.Errorf("just deep enough: %v", d)
	}
}

func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + strings.Repeat("x", i%7) + time.Duration(i).String() + ": 1\n")
	}
	return b.String()
}

func TestMap_SeveralReadersShareAMapping(t *testing.T) {
	f := parsed(t, "text: x\nflag: true\nflg: 1\nother: 2\nnone: {a: 1}\n")
	var d Diagnostics
	m := f.Root.Map(&d)
	var one struct {
		Text string `yaml:"text"`
	}
	var two struct {
		Flag bool `yaml:"flag"`
	}
	if !m.Decode(&one) || !m.Decode(&two) || one.Text != "x" || !two.Flag {
		t.Errorf("read %+v %+v %v", one, two, said(&d))
	}
	if !m.Has("other") || m.Has("nothing") || m.Get("other").Literal().Value != "2" {
		t.Error("a key is not found, or one that is not there is")
	}
	m.Know("none", "never")
	if m.Close() {
		t.Error("an unknown key was passed over")
	}
	all := d.All()
	if len(all) != 1 || all[0].Pos.String() != f.Root.Key("flg").Pos().String() || !strings.Contains(all[0].Hints[0], `did you mean "flag"`) {
		t.Errorf("said %+v", all)
	}
}

func TestMap_AKeyLikeNoneIsToldWhichThereAre(t *testing.T) {
	var d Diagnostics
	m := parsed(t, "xyzzy: 1\n").Root.Map(&d)
	m.Know("run", "exec")
	m.Close()
	if all := d.All(); len(all) != 1 || all[0].Hints[0] != "known keys: exec, run" {
		t.Errorf("said %+v", all)
	}
}

func TestNode_DefaultsKeepTheirPlaces(t *testing.T) {
	f := parsed(t, "defaults:\n  timeout: 1m\n  shell: sh\nrule:\n  timeout: 2m\n  run: x\nempty: {}\n")
	merged := f.Root.Find("rule").WithDefaults(f.Root.Find("defaults")).Without("run")
	var got []string
	for _, e := range merged.Entries() {
		pos, _ := e.Value.Place()
		got = append(got, e.Key.Value+"="+e.Value.Literal().Value+" "+strings.TrimPrefix(pos.String(), pos.File+":"))
	}
	if diff := cmp.Diff([]string{"timeout=2m 5:12", "shell=sh 3:10"}, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if n := len(f.Root.Find("rule").Entries()); n != 2 {
		t.Errorf("the rule itself has %d keys now", n)
	}
	if n := f.Root.Find("empty").WithDefaults(Node{}); len(n.Entries()) != 0 || n.Kind() != KindMap {
		t.Error("defaults of nothing changed a mapping")
	}
}

func TestParse_LongLinesTakeNoLongerThanTheirLength(t *testing.T) {
	value := strings.Repeat("x ", 1<<18)
	for name, src := range map[string]string{
		"a long value in quotes":       `a: "` + value + `"`,
		"a long value of escapes":      `a: "` + strings.Repeat(`\u00e9`, 100_000) + `"`,
		"blanks":                       `a: "` + strings.Repeat(" ", 1<<20) + `"`,
		"a long block":                 "a: |\n" + strings.Repeat("  x\n", 500_000),
		"a long secret":                `secret: "` + value + `"`,
		"many secrets on one line":     "a: [" + strings.Repeat(`{secret: "0123456789"},`, 30_000) + "]",
		"many problems on one line":    "{" + strings.Repeat(`"a": "b", `, 40_000) + "}",
		"many references to nothing":   "a: '" + strings.Repeat("${A} ", 100_000) + "'",
		"many references never closed": "a: '" + strings.Repeat("${ ", 200_000) + "'",
		"many dollars":                 "a: '" + strings.Repeat("$$", 1<<18) + "'",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			f, d := Parse("hooks.yaml", []byte(src), Options{})
			if f != nil {
				for _, e := range f.Root.Entries() {
					d.Errorf(e.Value, "no")
					if e.Value.Kind() == KindScalar {
						text := e.Value.Text(d)
						d.Errorf(text.Span(len(text.Value)-2, len(text.Value)), "no")
					}
				}
			}
			var out strings.Builder
			d.Print(&out, false)
			if took := time.Since(began); took > 20*time.Second { // the race detector is slow; most take far less than a second
				t.Errorf("took %v", took)
			}
		})
	}
}
