package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLayers_NothingInTheEnvironmentCanCrash(t *testing.T) {
	for name, environ := range map[string][]string{
		"a reference that leads nowhere": {"TENTERHOOK_SERVER__LISTEN=${NONE}"},
		"one behind other text":          {"TENTERHOOK_SERVER__LISTEN=x ${NONE} y"},
		"one that is never closed":       {"TENTERHOOK_SERVER__LISTEN=x ${"},
		"a value and something in it":    {"TENTERHOOK_SERVER__TLS=x", "TENTERHOOK_SERVER__TLS__CERT=y"},
		"the same in the other order":    {"TENTERHOOK_SERVER__TLS__CERT=y", "TENTERHOOK_SERVER__TLS=x"},
		"an empty part":                  {"TENTERHOOK_SERVER____LISTEN=x", "TENTERHOOK_SERVER__=x", "TENTERHOOK___X=y", "TENTERHOOK_=z"},
		"no equals sign":                 {"TENTERHOOK_SERVER__LISTEN"},
		"no name":                        {"=x", ""},
		"bytes that are not text":        {"TENTERHOOK_SERVER__LISTEN=\xff\x00", "TENTERHOOK_SERVER__\xff=x"},
		"lines":                          {"TENTERHOOK_SERVER__LISTEN=a\nb: ${NONE}\n"},
		"a name twice":                   {"TENTERHOOK_SERVER__LISTEN=a", "TENTERHOOK_SERVER__LISTEN=b"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, src := range []string{"server: {listen: a}\n", "server: 5\n", "server:\n", "server: [a]\n", "hooks: []\n", "\"server\\0listen\": x\n"} {
				f, d := Parse("hooks.yaml", []byte(src), Options{Environ: environ, Overrides: map[string]string{"server.drain": "${ALSO_NONE} x", "admin.listen": "y"}})
				walkAll(f.Root, d)
				f.Root.Find("server").Decode(&struct {
					Listen string `yaml:"listen"`
				}{}, d)
				for _, one := range d.All() {
					if one.Pos.File == "" {
						t.Errorf("%q: no place: %s", src, one.Message)
					}
				}
			}
		})
	}
}

func TestLayers_AProblemOfTheEnvironmentNamesItsVariable(t *testing.T) {
	f, d := Parse("hooks.yaml", []byte("server: {listen: a}\n"), Options{
		Environ:   []string{"TENTERHOOK_SERVER__LISTN=x", "TENTERHOOK_WORKERS=many", "TENTERHOOK_ADMIN__LISTEN=a ${NONE}", "TENTERHOOK_HOOKS__X=ignored", "TENTERHOOK_TOKEN=ignored"},
		Overrides: map[string]string{"store.url": "${NONE}", "server.drain": ""},
	})
	var into struct {
		Server struct {
			Listen string `yaml:"listen"`
			Drain  string `yaml:"drain"`
		} `yaml:"server"`
		Admin, Store map[string]string
		A            map[string]string `yaml:"admin"`
		S            map[string]string `yaml:"store"`
		Workers      int               `yaml:"workers"`
	}
	f.Root.Decode(&into, d)
	var got []string
	for _, one := range d.All() {
		got = append(got, one.Pos.String()+": "+one.Message)
	}
	want := []string{
		"--store.url: environment variable NONE is not set",
		"environment variable TENTERHOOK_ADMIN__LISTEN: environment variable NONE is not set",
		`environment variable TENTERHOOK_SERVER__LISTN: unknown key "listn"`,
		`environment variable TENTERHOOK_WORKERS: expected a whole number, found "many"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestDigest_NamesTheContentAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hooks.yaml")
	save(t, path, "server: {listen: a}\nsecret: ${TOKEN}\n")
	load := func(path string, o Options) *File {
		o.Path = path
		f, d := Load(o)
		if d.Err() != nil {
			t.Fatal(d)
		}
		return f
	}
	overrides := map[string]string{"server.listen": "b", "admin.listen": "c", "store.url": "d", "workers": "5"}
	first := load(path, Options{Environ: []string{"TOKEN=one"}, Overrides: overrides})
	for range 20 {
		again := load(path, Options{Environ: []string{"TOKEN=one"}, Overrides: overrides})
		if again.Digest != first.Digest || again.Fingerprint != first.Fingerprint {
			t.Fatal("the same configuration has another digest the next time")
		}
	}
	t.Chdir(dir)
	if here := load("hooks.yaml", Options{Environ: []string{"TOKEN=one"}, Overrides: overrides}); here.Digest != first.Digest || here.Fingerprint != first.Fingerprint {
		t.Error("the digest depends on how the file is named")
	}
	if len(first.Digest) != 12 || strings.Trim(first.Digest, "0123456789abcdef") != "" {
		t.Errorf("digest %q", first.Digest)
	}
	secret := load(path, Options{Environ: []string{"TOKEN=two"}, Overrides: overrides})
	if secret.Digest != first.Digest || secret.Fingerprint == first.Fingerprint {
		t.Error("another secret: the digest changes, or the fingerprint does not")
	}
	overrides["server.listen"] = "e"
	if flag := load(path, Options{Environ: []string{"TOKEN=one"}, Overrides: overrides}); flag.Fingerprint == first.Fingerprint {
		t.Error("another flag leaves the fingerprint")
	}
	save(t, path, "server: {listen: a}\nsecret: ${TOKEN} # edited\n")
	if edited := load(path, Options{Environ: []string{"TOKEN=one"}}); edited.Digest == first.Digest {
		t.Error("an edit leaves the digest")
	}
}

// tree writes files into a new folder and loads hooks.yaml there.
func tree(t *testing.T, folder string, files map[string]string) (dir string, f *File, d *Diagnostics) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), folder)
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		save(t, filepath.Join(dir, name), content)
	}
	f, d = Load(Options{Path: filepath.Join(dir, "hooks.yaml")})
	return dir, f, d
}

func TestInclude_AddsToWhateverIsThere(t *testing.T) {
	for name, tt := range map[string]struct {
		folder string
		files  map[string]string
		want   string
	}{
		"a list to a list":                    {"", map[string]string{"hooks.yaml": "include: b.yaml\nhooks: [{name: a}]", "b.yaml": "hooks: [{name: b}, {name: c}]"}, "a b c"},
		"a list to nothing":                   {"", map[string]string{"hooks.yaml": "include: b.yaml", "b.yaml": "hooks: [{name: b}]"}, "b"},
		"a list to an empty key":              {"", map[string]string{"hooks.yaml": "include: b.yaml\nhooks:\n", "b.yaml": "hooks: [{name: b}]"}, "b"},
		"a list to an empty list":             {"", map[string]string{"hooks.yaml": "include: b.yaml\nhooks: []\n", "b.yaml": "hooks: [{name: b}]"}, "b"},
		"a list to a single hook":             {"", map[string]string{"hooks.yaml": "include: b.yaml\nhooks: {name: a}", "b.yaml": "hooks: [{name: b}]"}, "a b"},
		"a single hook to a list":             {"", map[string]string{"hooks.yaml": "include: b.yaml\nhooks: [{name: a}]", "b.yaml": "hooks: {name: b}"}, "a b"},
		"a single hook to nothing":            {"", map[string]string{"hooks.yaml": "include: b.yaml", "b.yaml": "hooks: {name: b}"}, "b"},
		"nothing to a list":                   {"", map[string]string{"hooks.yaml": "include: b.yaml\nhooks: [{name: a}]", "b.yaml": "hooks:\ntests: []\n"}, "a"},
		"two to nothing":                      {"", map[string]string{"hooks.yaml": "include: [c.yaml, b.yaml]", "b.yaml": "hooks: [{name: b}]", "c.yaml": "hooks: [{name: c}]"}, "c b"},
		"a pattern, in the order of names":    {"", map[string]string{"hooks.yaml": "include: '*.d/*.yaml'", "z.d/a.yaml": "hooks: [{name: za}]", "a.d/z.yaml": "hooks: [{name: az}]", "a.d/b.yaml": "hooks: [{name: ab}]", "a.d/c.txt": "not YAML: :"}, "ab az za"},
		"a pattern that finds the file again": {"", map[string]string{"hooks.yaml": "include: '*.yaml'\nhooks: [{name: a}]", "b.yaml": "hooks: [{name: b}]"}, "a b"},
		"a pattern that finds nothing":        {"", map[string]string{"hooks.yaml": "include: 'no*.yaml'\nhooks: [{name: a}]"}, "a"},
		"two patterns that overlap":           {"", map[string]string{"hooks.yaml": "include: [b*.yaml, '*.yaml']\nhooks: [{name: a}]", "b.yaml": "hooks: [{name: b}]", "c.yaml": "hooks: [{name: c}]"}, "a b c"},
		"in a folder with brackets":           {"odd [1] *?", map[string]string{"hooks.yaml": "include: [b.yaml, 'c*.yaml']\nhooks: [{name: a}]", "b.yaml": "hooks: [{name: b}]", "c.yaml": "hooks: [{name: c}]"}, "a b c"},
	} {
		t.Run(name, func(t *testing.T) {
			_, f, d := tree(t, tt.folder, tt.files)
			if d.Err() != nil {
				t.Fatal(d)
			}
			var names []string
			for _, h := range f.Root.Find("hooks").List() {
				names = append(names, h.Find("name").Literal().Value)
				if h.Pos().Line == 0 {
					t.Errorf("%s has no place", names)
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("hooks %s, want %s", got, tt.want)
			}
		})
	}
}

func TestInclude_ProblemsAreSaidOfTheirFile(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"one that is missing":           {map[string]string{"hooks.yaml": "include: [b.yaml]\nhooks: []"}, "DIR/hooks.yaml:1:11: b.yaml does not exist"},
		"itself":                        {map[string]string{"hooks.yaml": "include: [hooks.yaml]\nhooks: []"}, "DIR/hooks.yaml:1:11: hooks.yaml is included twice or includes itself"},
		"the same twice":                {map[string]string{"hooks.yaml": "include: [b.yaml, ./b.yaml]\nhooks: []", "b.yaml": "hooks: []"}, "DIR/hooks.yaml:1:19: ./b.yaml is included twice or includes itself"},
		"a folder":                      {map[string]string{"hooks.yaml": "include: d\nhooks: []", "d/b.yaml": "hooks: []"}, "DIR/hooks.yaml:1:10: cannot read DIR/d: not a regular file"},
		"a pattern that is none":        {map[string]string{"hooks.yaml": "include: 'd/[.yaml'\nhooks: []"}, `DIR/hooks.yaml:1:10: "d/[.yaml" is not a pattern: syntax error in pattern`},
		"an included file with another": {map[string]string{"hooks.yaml": "include: d/b.yaml\nhooks: []", "d/b.yaml": "include: c.yaml"}, `DIR/d/b.yaml:1:1: an included file may hold hooks: and tests: only, found "include"`},
		"an included file that is not":  {map[string]string{"hooks.yaml": "include: d/b.yaml\nhooks: []", "d/b.yaml": "hooks: [\n"}, "DIR/d/b.yaml:2:1: not YAML: did not find expected node content"},
		"an included file with nothing": {map[string]string{"hooks.yaml": "include: d/b.yaml\nhooks: []", "d/b.yaml": ""}, "DIR/d/b.yaml: the file is empty"},
		"a mapping of files":            {map[string]string{"hooks.yaml": "include: {a: b}\nhooks: []"}, "DIR/hooks.yaml:1:10: expected a single value, found a mapping"},
		"a reference that is missing":   {map[string]string{"hooks.yaml": "include: '${NONE}/b.yaml'\nhooks: []"}, "DIR/hooks.yaml:1:11: environment variable NONE is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, d := tree(t, "", tt.files)
			var got []string
			for _, one := range d.All() {
				got = append(got, strings.ReplaceAll(one.Pos.String()+": "+one.Message, dir, "DIR"))
			}
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestWatch_HasEveryFileThatMatters(t *testing.T) {
	dir, f, d := tree(t, "", map[string]string{"hooks.yaml": "include: [d/*.yaml, e.yaml]\na: ${file:secret}\n", "d/b.yaml": "hooks: [{x: '${file:gone}'}]", "e.yaml": "hooks: []", "secret": "x"})
	var got []string
	for _, path := range f.Watch {
		got = append(got, strings.TrimPrefix(path, dir+"/"))
	}
	if diff := cmp.Diff([]string{"d/*.yaml", "d/b.yaml", "e.yaml", "gone", "hooks.yaml", "secret"}, got); diff != "" {
		t.Errorf("%v, want -, got +:\n%s", d.Err(), diff)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "hooks.yaml"), filepath.Join(dir, "d/b.yaml"), filepath.Join(dir, "e.yaml")}, f.Files); diff != "" {
		t.Errorf("files, want -, got +:\n%s", diff)
	}
	if f.Dir != dir {
		t.Errorf("the folder is said to be %s", f.Dir)
	}
}
