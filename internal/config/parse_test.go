package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// parsed reads a configuration that must have no problems.
func parsed(t *testing.T, src string, environ ...string) *File {
	t.Helper()
	f, d := Parse(filepath.Join(t.TempDir(), "hooks.yaml"), []byte(src), Options{Environ: environ})
	if d.Err() != nil {
		t.Fatal(d)
	}
	return f
}

// said is every diagnostic as line:col: message.
func said(d *Diagnostics) []string {
	var out []string
	for _, one := range d.All() {
		out = append(out, fmt.Sprintf("%d:%d: %s", one.Pos.Line, one.Pos.Col, one.Message))
	}
	return out
}

func save(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestText_EveryCharacterKnowsItsPlace(t *testing.T) {
	for _, tt := range []struct {
		what, src, find string
		line, col       int
	}{
		{"plain", "a: one two", "two", 1, 8},
		{"plain over lines", "a: one\n   two\n   three", "three", 3, 4},
		{"single quotes", "a: 'it''s two'", "two", 1, 11},
		{"double quotes", `a: "\u00e9\tx two"`, "two", 1, 15},
		{"double quotes over lines", "a: \"one\n  two\"", "two", 2, 3},
		{"literal block", "a: |\n  one\n  two", "two", 3, 3},
		{"literal block, indented", "a:\n  b: |2\n      one\n     two", "two", 4, 6},
		{"folded block", "a: >-\n  one\n  two", "two", 3, 3},
		{"beside characters of several bytes", "a: é€ 𝄞 two", "two", 1, 9},
		{"behind a reference", "a: ${X} two", "two", 1, 9},
		{"inside a reference's value", "a: one ${X}", "value", 1, 8},
		{"behind a dollar", "a: $$5 two", "two", 1, 8},
		{"in a list", "a: [one, two]", "two", 1, 10},
		{"carriage returns", "a: |\r\n  one\r\n  two\r\n", "two", 3, 3},
	} {
		t.Run(tt.what, func(t *testing.T) {
			f := parsed(t, tt.src, "X=the value of X")
			node := f.Root.Find("a")
			if b := f.Root.Find("a", "b"); !b.IsZero() {
				node = b
			}
			for _, n := range node.List() {
				var d Diagnostics
				text := n.Text(&d)
				if at := strings.Index(text.Value, tt.find); at >= 0 {
					if pos := text.At(at); pos.Line != tt.line || pos.Col != tt.col {
						t.Errorf("%q is at %d:%d, want %d:%d", tt.find, pos.Line, pos.Col, tt.line, tt.col)
					}
					return
				}
			}
			t.Errorf("%q is not in it", tt.find)
		})
	}
}

func TestReference_BecomesItsValueAndTemplatesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "secret"), "from a file\n\n")
	save(t, filepath.Join(dir, "cred"), "from a credential\n")
	for src, want := range map[string]string{
		"${A}":                       "one",
		"x${A}y${A}":                 "xoneyone",
		"${NONE:-other}":             "other",
		"${NONE:-}":                  "",
		"${EMPTY:-other}":            "other",
		"${EMPTY}":                   "",
		"$${A}":                      "${A}",
		"$$":                         "$",
		"a$b":                        "a$b",
		"^x$":                        "^x$",
		"${{ \"${A}\" + '}}' }}":     "${{ \"${A}\" + '}}' }}",
		"${A} ${{ a }} ${A}":         "one ${{ a }} one",
		"${file:secret}":             "from a file\n",
		"${file:" + dir + "/secret}": "from a file\n",
		"${credential:cred}":         "from a credential",
	} {
		quoted, err := json.Marshal(src)
		if err != nil {
			t.Fatal(err)
		}
		f, d := Parse(filepath.Join(dir, "hooks.yaml"), []byte("a: "+string(quoted)), Options{Environ: []string{"A=one", "EMPTY=", "CREDENTIALS_DIRECTORY=" + dir}})
		if got := f.Root.Find("a").Text(d); got.Value != want || d.Err() != nil {
			t.Errorf("%s: got %q, %v; want %q", src, got.Value, d.Err(), want)
		}
	}
}

func TestReference_WhatLeadsNowhereIsAProblemWithItsPlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "large"), strings.Repeat("x", maxReferenced+1))
	for _, reference := range []string{
		"${NONE}", "${", "${}", "${A", "${a b}", "${1}", "${file:}", "${file:none}", "${file:folder}", "${file:pipe}", "${file:large}",
		"${credential:none}", "${credential:../secret}", "${credential:}", "${credential:a/b}",
	} {
		f, d := Parse(filepath.Join(dir, "hooks.yaml"), []byte("a: 'x "+reference+"'"), Options{Environ: []string{"CREDENTIALS_DIRECTORY=" + dir}})
		f.Root.Find("a").Text(d)
		if found := d.All(); len(found) != 1 || found[0].Pos.Line != 1 || found[0].Pos.Col != 7 {
			t.Errorf("%s: %v", reference, said(d))
		}
	}
}

func TestLayers_FlagsBeatTheEnvironmentWhichBeatsTheFile(t *testing.T) {
	src := "server: {listen: file, drain: 1s}\nworkers: 1\n"
	o := Options{
		Environ:   []string{"TENTERHOOK_SERVER__LISTEN=environment", "TENTERHOOK_WORKERS=7", "TENTERHOOK_CONFIG=ignored"},
		Overrides: map[string]string{"server.listen": "flag", "admin.listen": "flag"},
	}
	f, d := Parse("hooks.yaml", []byte(src), o)
	got := map[string]string{}
	for name, path := range map[string][]string{"listen": {"server", "listen"}, "drain": {"server", "drain"}, "workers": {"workers"}, "admin": {"admin", "listen"}} {
		got[name] = f.Root.Find(path...).Text(d).Value
	}
	if diff := cmp.Diff(map[string]string{"listen": "flag", "drain": "1s", "workers": "7", "admin": "flag"}, got); diff != "" || d.Err() != nil {
		t.Errorf("%v, want -, got +:\n%s", d.Err(), diff)
	}
	if pos := f.Root.Find("workers").Pos(); !strings.Contains(pos.String(), "TENTERHOOK_WORKERS") {
		t.Errorf("a value of the environment is said to be at %s", pos)
	}
	if pos := f.Root.Find("server", "drain").Pos(); pos.Line != 1 || pos.Col != 31 {
		t.Errorf("a value of the file is said to be at %s", pos)
	}
}

func TestInclude_AppendsItsHooksAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "hooks.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "hooks.yaml"), "include: [hooks.d/*.yaml]\nhooks: [{name: main}]\n")
	save(t, filepath.Join(dir, "hooks.d", "b.yaml"), "hooks: [{name: b}]\n")
	save(t, filepath.Join(dir, "hooks.d", "a.yaml"), "hooks:\n  - {name: a1}\n  - {name: a2}\n")
	f, d := Load(Options{Path: filepath.Join(dir, "hooks.yaml")})
	var names []string
	for _, h := range f.Root.Find("hooks").List() {
		names = append(names, h.Find("name").Text(d).Value)
	}
	if diff := cmp.Diff([]string{"main", "a1", "a2", "b"}, names); diff != "" || d.Err() != nil {
		t.Errorf("%v, want -, got +:\n%s", d.Err(), diff)
	}
	if pos := f.Root.Find("hooks").List()[2].Pos(); filepath.Base(pos.File) != "a.yaml" || pos.Line != 3 {
		t.Errorf("a2 is said to be at %s", pos)
	}
	digest := f.Digest
	save(t, filepath.Join(dir, "hooks.d", "b.yaml"), "hooks: [{name: c}]\n")
	if f, _ = Load(Options{Path: filepath.Join(dir, "hooks.yaml")}); f.Digest == digest {
		t.Error("an edit of an included file leaves the digest")
	}
	save(t, filepath.Join(dir, "hooks.d", "b.yaml"), "workers: 3\n")
	if _, d = Load(Options{Path: filepath.Join(dir, "hooks.yaml")}); d.Err() == nil {
		t.Error("an included file can set what only the main file may")
	}
}

func TestFingerprint_ChangesWithASecretAndTheDigestDoesNot(t *testing.T) {
	dir := t.TempDir()
	load := func(secret string) *File {
		save(t, filepath.Join(dir, "secret"), secret)
		f, d := Parse(filepath.Join(dir, "hooks.yaml"), []byte("a: ${file:secret}"), Options{})
		f.Root.Find("a").Text(d)
		return f
	}
	one, two, again := load("one-secret"), load("two-secret"), load("one-secret")
	if one.Digest != two.Digest || one.Fingerprint == two.Fingerprint || one.Fingerprint != again.Fingerprint {
		t.Errorf("digests %s %s, fingerprints %x %x %x", one.Digest, two.Digest, one.Fingerprint[:4], two.Fingerprint[:4], again.Fingerprint[:4])
	}
}

func TestLoad_RefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe, large := filepath.Join(dir, "pipe"), filepath.Join(dir, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	save(t, large, "a: "+strings.Repeat("x", maxFile))
	for _, path := range []string{dir, pipe, large, filepath.Join(dir, "none"), "/dev/zero", "/dev/null", "", "a\x00b"} {
		if f, d := Load(Options{Path: path}); d.Err() == nil || f != nil {
			t.Errorf("%q was taken", path)
		}
	}
}

type decoded struct {
	Text     string        `yaml:"text"`
	Flag     bool          `yaml:"flag"`
	Count    int           `yaml:"count"`
	Ratio    float64       `yaml:"ratio"`
	Duration time.Duration `yaml:"duration"`
	Size     Size          `yaml:"size"`
	List     []string      `yaml:"list"`
	Optional *int          `yaml:"optional"`
	Must     string        `yaml:"must,required"`
}

func TestDecode_ReadsEveryKind(t *testing.T) {
	f := parsed(t, "{text: a, flag: true, count: -3, ratio: 1.5, duration: 14d, size: 64KiB, list: one, optional: 0, must: x}")
	var d Diagnostics
	var got decoded
	zero := 0
	want := decoded{"a", true, -3, 1.5, 14 * 24 * time.Hour, 64 << 10, []string{"one"}, &zero, "x"}
	if !f.Root.Decode(&got, &d) {
		t.Fatal(&d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestDecode_WrongKindsAreAllTold(t *testing.T) {
	f := parsed(t, "text: [a]\nflag: maybe\ncount: 1.5\nratio: x\nduration: 10\nsize: 5 parsecs\nlist: {a: b}\noptional: {}\nothr: 1\n")
	var d Diagnostics
	var got decoded
	if f.Root.Decode(&got, &d) {
		t.Error("decoded")
	}
	lines := map[int]bool{}
	for _, one := range d.All() {
		lines[one.Pos.Line] = true
	}
	for line := 1; line <= 9; line++ {
		if !lines[line] {
			t.Errorf("nothing is said of line %d:\n%s", line, strings.Join(said(&d), "\n"))
		}
	}
}

func TestDurationsAndSizes(t *testing.T) {
	type spec struct {
		D *time.Duration `yaml:"d"`
		S *Size          `yaml:"s"`
	}
	for _, tt := range []struct {
		src  string
		d    time.Duration
		s    Size
		fail bool
	}{
		{src: "d: 250ms", d: 250 * time.Millisecond},
		{src: "d: 1h30m", d: 90 * time.Minute},
		{src: "d: 0s"},
		{src: "d: 30d", d: 720 * time.Hour},
		{src: "d: 10", fail: true},
		{src: "d: -1s", fail: true},
		{src: "d: 999999999d", fail: true},
		{src: "d: ''", fail: true},
		{src: "s: 25MB", s: 25_000_000},
		{src: "s: 1MiB", s: 1 << 20},
		{src: "s: 10", s: 10},
		{src: "s: -1", fail: true},
		{src: "s: 9999999999GB", fail: true},
		{src: "s: 1.5MiB", fail: true},
	} {
		var got spec
		var d Diagnostics
		ok := parsed(t, tt.src).Root.Decode(&got, &d)
		if ok == tt.fail || got.D != nil && !tt.fail && *got.D != tt.d || got.S != nil && !tt.fail && *got.S != tt.s {
			t.Errorf("%s: %v, %+v %v", tt.src, ok, got, said(&d))
		}
	}
}

func TestSecret_NothingShowsIt(t *testing.T) {
	f := parsed(t, "secret: hunter2hunter2hunter2")
	var d Diagnostics
	var got struct {
		Secret Secret `yaml:"secret"`
	}
	if !f.Root.Decode(&got, &d) || string(got.Secret.Reveal()) != "hunter2hunter2hunter2" {
		t.Fatal(&d)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", got.Secret, "all", got)
	asJSON, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %q %x %v", got, got, got, got.Secret, got.Secret, got.Secret, &got) + string(asJSON) + log.String()
	if strings.Contains(shown, "hunter2") || strings.Contains(shown, "68756e74657232") {
		t.Errorf("shown as %s", shown)
	}
	var text strings.Builder
	d.Errorf(f.Root.Find("secret"), "a problem")
	d.sources = map[string]*source{}
	d.Print(&text, false)
	if strings.Contains(text.String(), "hunter2") {
		t.Errorf("printed as %s", text.String())
	}
	if mask := f.Mask(); len(mask) != 1 || mask[0] != "hunter2hunter2hunter2" {
		t.Errorf("masked are %d values", len(mask))
	}
}

func TestSuggest_FindsWhatIsNearAndNothingElse(t *testing.T) {
	among := []string{"match", "timeout", "retry", "run", "exec"}
	for word, want := range map[string]string{"mtach": "match", "timout": "timeout", "rnu": "run", "Timeout": "timeout", "xyzzy": "", "": "", "a": ""} {
		if got := Suggest(word, among); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

// FuzzParse reads anything: it never panics, and whatever is said of a source is said of a place
// in it.
func FuzzParse(f *testing.F) {
	for _, src := range []string{
		"", "a: 1", "a: [1, {b: c}]\n", "hooks:\n  - name: x\n", "a: |\n  x\n ", "a: 'x ${", "a: \"${A} $$ ${{ x }}\"", "\ufeffa: 1", "a: &x [*x]", "? a\n: b", "a: !!binary x",
		"a: \t1", "---\na: 1\n---\nb: 2", "a: {a: {a: {a: 1}}}", "a: ${file:/dev/zero}", "a: x # y", "\xff\xfe", "a: \"\\x", "%YAML 1.2\n---\na: 1", "a: >2\n   x\n  y",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, d := Parse("hooks.yaml", src, Options{Environ: []string{"A=one", "TENTERHOOK_SERVER__LISTEN=x ${NONE}"}, Overrides: map[string]string{"store.url": "${A} ${"}})
		if file != nil {
			walkAll(file.Root, d)
			file.Root.Decode(&decoded{}, d)
		}
		lines := strings.Split(lineEnds.Replace(strings.TrimPrefix(string(src), "\ufeff")), "\n")
		for _, one := range d.All() {
			pos := one.Pos
			inside := pos.Line >= 1 && pos.Line <= len(lines) && pos.Col >= 1 && pos.Col <= len([]rune(lines[pos.Line-1]))+1
			if !inside && one.Message != "the file is empty" && pos.File == "hooks.yaml" {
				t.Errorf("%q: said of %v: %s", src, pos, one.Message)
			}
		}
		var out strings.Builder
		d.Print(&out, false)
	})
}

func walkAll(n Node, d *Diagnostics) {
	switch n.Kind() {
	case KindMap:
		for _, e := range n.Entries() {
			walkAll(e.Value, d)
		}
	case KindList:
		for _, item := range n.List() {
			walkAll(item, d)
		}
	case KindScalar:
		text := n.Text(d)
		for at := 0; at <= len(text.Value) && at < 200; at++ {
			text.At(at)
			text.Span(at, at+3).Place()
		}
		text.PastComment()
	}
}
