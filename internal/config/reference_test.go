package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expanded is what a text in double quotes becomes, and what is said of it.
func expanded(t *testing.T, dir, src string, environ ...string) (string, []string) {
	t.Helper()
	quoted, err := json.Marshal(src)
	if err != nil {
		t.Fatal(err)
	}
	f, d := Parse(filepath.Join(dir, "hooks.yaml"), []byte("a: "+string(quoted)), Options{Environ: environ})
	value := f.Root.Find("a").Text(d).Value
	return value, said(d)
}

func TestReference_BracesAreCounted(t *testing.T) {
	for src, want := range map[string]string{
		`${NONE:-{}}`:                  `{}`,
		`${NONE:-{"a":{"b":1}}}`:       `{"a":{"b":1}}`,
		`${A:-{"a":{"b":1}}}`:          `one`,
		`${A:-{}} and ${NONE:-{x}}`:    `one and {x}`,
		`{${A}}`:                       `{one}`,
		`${NONE:-a:-b}`:                `a:-b`,
		`${NONE:- spaces }`:            ` spaces `,
		`${NONE:-$5}`:                  `$5`,
		`${NONE:-a$$b}`:                `a$b`,
		`$$$${A}`:                      `$${A}`,
		`$$${A}`:                       `$one`,
		`$${{ x }}`:                    `${{ x }}`,
		`$A $(A) $1 ${{ $$ }}`:         `$A $(A) $1 ${{ $$ }}`,
		`${{ {"a": {"b": 1}}.a }}${A}`: `${{ {"a": {"b": 1}}.a }}one`,
		`${{ "it's }}" }} don't ${A}`:  `${{ "it's }}" }} don't one`,
		`${{ a + "\"}}" }} ${A}`:       `${{ a + "\"}}" }} one`,
		"${{ `}}\\` }} ${A}":           "${{ `}}\\` }} one",
		`${{ never closed ${A}`:        `${{ never closed ${A}`,
		`${A}${A}${EMPTY}${A}`:         `oneoneone`,
		`${EMPTY}`:                     ``,
		`${EMPTY}${EMPTY}`:             ``,
		`é${A}𝄞`:                       `éone𝄞`,
	} {
		if got, problems := expanded(t, t.TempDir(), src, "A=one", "EMPTY="); got != want || problems != nil {
			t.Errorf("%s: got %q %v, want %q", src, got, problems, want)
		}
	}
	for src, want := range map[string]string{
		`x ${NONE:-${A}}`:        "a default holds no reference",
		`x ${A:-${B:-c}}`:        "a default holds no reference",
		`x ${NONE:-{}`:           "${ is never closed; $$ writes a dollar sign",
		"x ${A\n}":               "${ is never closed; $$ writes a dollar sign",
		`x ${ A }`:               "${ A } is not a reference",
		`x ${A-b}`:               "${A-b} is not a reference",
		`x ${A:b}`:               "${A:b} is not a reference",
		`x ${env:A}`:             "${env:A} is not a reference",
		`x ${:-b}`:               "${:-b} is not a reference",
		`x ${credential:}`:       `"" is not the name of a credential`,
		`x ${credential:..}`:     `".." is not the name of a credential`,
		`x ${credential:a}`:      "credential a is not there: CREDENTIALS_DIRECTORY is not set",
		`x ${file:}`:             "${file:} names no file",
		`x ${file:/dev/zero}`:    "cannot read /dev/zero: not a regular file",
		`x ${file:/proc/self}`:   "cannot read /proc/self: not a regular file",
		"x ${file:a\u0000b}":     "cannot read",
		`x ${file:hooks.yaml/x}`: "cannot read",
	} {
		_, problems := expanded(t, t.TempDir(), src, "A=one")
		if len(problems) != 1 || !strings.HasPrefix(problems[0], "1:7: ") || !strings.Contains(problems[0], want) {
			t.Errorf("%q: %q, want %q", src, problems, want)
		}
	}
}

func TestReference_OneNewlineAtAFilesEndIsCut(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{"x": "x", "x\n": "x", "x\n\n": "x\n", "x\r\n": "x", "x\r": "x\r", "": "", "\n": "", "\r\n": "", "a\nb\n": "a\nb", "\xff\x00\n": "\xff\x00", " x ": " x ", "${NONE} ${{ x }}\n": "${NONE} ${{ x }}"} {
		save(t, filepath.Join(dir, "secret"), content)
		if got, problems := expanded(t, dir, "${file:secret}"); got != want || problems != nil {
			t.Errorf("%q: got %q %v", content, got, problems)
		}
		if got, problems := expanded(t, dir, "${credential:secret}", "CREDENTIALS_DIRECTORY="+dir); got != want || problems != nil {
			t.Errorf("%q as a credential: got %q %v", content, got, problems)
		}
	}
}

func TestReference_WhatItCameToIsHidden(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "file"), "content of a file\n")
	save(t, filepath.Join(dir, "short"), "abc")
	src := `
a: ${file:file} ${file:short}
b: ${API_TOKEN} ${db_password} ${SLACK_URL} ${COLOR} ${EMPTY_KEY}
c: ${UNSET_SECRET:-a default in the file}
hooks: [{secret: [literal secret one, "${SALT}"], other: not hidden}]
admin: {token: literal token two}
`
	f, d := Parse(filepath.Join(dir, "hooks.yaml"), []byte(src), Options{Environ: []string{"API_TOKEN=token of the api", "db_password=word to pass", "SLACK_URL=https://hooks.example/x", "COLOR=purple", "EMPTY_KEY=", "SALT=salty", "OTHER_TOKEN=never referenced"}})
	if d.Err() != nil {
		t.Fatal(d)
	}
	got := strings.Join(f.Mask(), "|")
	if want := "content of a file|https://hooks.example/x|literal secret one|literal token two|salty|token of the api|word to pass"; got != want {
		t.Errorf("hidden are %s", got)
	}
}

func TestReference_ThePasswordOfAURLIsHidden(t *testing.T) {
	src := "a: postgres://u:correct%20horse@db/x?sslpassword=battery\nb: postgres://u:staple@[::1]:5432/x\nc: http://host:80/a@b\nstore: {url: none}\n"
	f, d := Parse("hooks.yaml", []byte(src), Options{Environ: []string{"TENTERHOOK_STORE__URL=postgres://u:layered@db/x"}})
	if d.Err() != nil {
		t.Fatal(d)
	}
	if got, want := strings.Join(f.Mask(), "|"), "battery|correct horse|correct%20horse|layered|staple"; got != want {
		t.Errorf("hidden are %s, want %s", got, want)
	}
}

func TestSecret_WarnsOfWhatOthersCanRead(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "private"), strings.Repeat("x", 32))
	save(t, filepath.Join(dir, "public"), strings.Repeat("y", 32))
	if err := os.Chmod(filepath.Join(dir, "public"), 0o644); err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]string{
		"secret: ${file:private}":                      "",
		"secret: ${file:public}":                       "others on this machine can read the file of ${file:public}",
		"secret: ${file:./public}":                     "others on this machine can read the file of ${file:./public}",
		"secret: 0123456789abcdef":                     "the file holds a secret and others on this machine can read it",
		"secret: 0123456789abcd":                       "the secret is shorter than 16 bytes",
		"secret: ${SHORT}":                             "the secret is shorter than 16 bytes",
		"secret: ChangeMe":                             "the secret is a placeholder that anyone can guess",
		"secret: ''":                                   "the secret is empty",
		"secret: ${EMPTY}":                             "the secret is empty",
		"secret:":                                      "the secret is empty",
		"secret: {a: b}":                               "expected a single value, found a mapping",
		"secret: ${file:none}":                         "cannot read " + dir + "/none: no such file or directory",
		"secret: [${file:private}, ${file:private}]\n": "",
	} {
		path := filepath.Join(dir, "hooks.yaml")
		save(t, path, strings.Replace(strings.Replace(src, "[${", "['${", 1), "}, ${file:private}]", "}', '${file:private}']", 1))
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		f, d := Load(Options{Path: path, Environ: []string{"SHORT=short", "EMPTY="}})
		var into struct {
			Secret []Secret `yaml:"secret"`
		}
		if src == "secret:" {
			var one Secret
			f.Root.Find("secret").Decode(&one, d)
		}
		f.Root.Decode(&into, d)
		var messages []string
		for _, one := range d.All() {
			messages = append(messages, one.Message)
		}
		if got := strings.Join(messages, "|"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: said %q, want %q", src, got, want)
		}
	}
}

func TestText_EveryOffsetIsAtItsCharacter(t *testing.T) {
	// The letters A to Z of the value are at the letters A to Z of the source, in whatever style.
	for name, src := range map[string]string{
		"plain":                         "k: A b C\n",
		"plain over lines":              "k: A b\n  C\n\n  D\n",
		"plain over indented lines":     "k:\n    A\n      B\n   C\n",
		"plain in a flow":               "k: [A, {x: B C, y: D}]\n",
		"plain in a flow, over lines":   "k: [A\n  B,\n  C]\n",
		"single quotes":                 "k: 'A ''B'' C'\n",
		"single quotes over lines":      "k: 'A\n  B\n\n\n  C'\n",
		"double quotes":                 `k: "A \" B \\ C \x41 D é E 𝄞 F \u0042 G \U0001F600 H \n I \  J"` + "\n",
		"double quotes over lines":      "k: \"A\n  B\n\n  C \\\n  D\\\n    \\ E\"\n",
		"double quotes, escaped breaks": "k: \"A\\\n\n   B\"\n",
		"a literal block":               "k: |\n  A\n    B\n\n  C\n",
		"a literal block, kept":         "k: |+\n  A\n\n\n",
		"a literal block, stripped":     "k: |-\n  A\n  B\n\n",
		"a block after a comment":       "k: | # A comment\n\n  A\n  B\n",
		"a block with an indicator":     "k: |1\n   A\n  B\n",
		"a block far in":                "x:\n  - y:\n      k: |\n        A\n         B\n",
		"a folded block":                "k: >\n  A\n  B\n\n  C\n    D\n  E\n",
		"a folded block, stripped":      "k: >-\n  A\n\n\n  B\n",
		"tabs":                          "k:\tA\tB\n",
		"tabs in a block":               "k: |\n  A\tB\n  \tC\n",
		"wide characters":               "k: 値A値B🎉C\n",
		"wide characters in a block":    "k: |\n  値A\n  🎉B\n",
		"carriage returns":              "k: |\r\n  A\r\n  B\r\nz: C\r\n",
		"carriage returns, plain":       "k: A\r\n  B\r\n",
		"carriage returns, in quotes":   "k: 'A\r\n  B'\r\n",
		"a mark":                        "\ufeffk: A B\n",
		"references":                    "k: ${X}A ${X} B${EMPTY}C$$D\n",
		"references in a block":         "k: |\n  ${X} A\n  B ${X}\n  C\n",
		"references and escapes":        `k: "\t${X}\u00e9A ${EMPTY}B$$C"` + "\n",
		"references over lines":         "k: ${X}\n  A ${X}\n  B\n",
		"expressions":                   "k: ${{ A }}${X}${{ B }}\n",
		"a last line that is not ended": "k: A\n  B",
	} {
		t.Run(name, func(t *testing.T) {
			f := parsed(t, src, "X=value of several words", "EMPTY=")
			var check func(n Node)
			seen := 0
			check = func(n Node) {
				for _, e := range n.Entries() {
					check(e.Value)
				}
				if n.Kind() == KindList {
					for _, item := range n.List() {
						check(item)
					}
				}
				if n.Kind() != KindScalar {
					return
				}
				var d Diagnostics
				text := n.Text(&d)
				for i, r := range text.Value {
					if r < 'A' || r > 'Z' || r == 'A' && strings.Contains(src, `\x41`) && seen > 4 {
						continue
					}
					seen++
					pos := text.At(i)
					var there rune
					if lines := n.source().lines; pos.Line >= 1 && pos.Line <= len(lines) && pos.Col >= 1 && pos.Col <= len([]rune(lines[pos.Line-1])) {
						there = []rune(lines[pos.Line-1])[pos.Col-1]
					}
					if there != r && there != '\\' {
						t.Errorf("%c is said to be at %d:%d, where %q is", r, pos.Line, pos.Col, there)
					}
				}
			}
			check(f.Root)
			if seen == 0 {
				t.Error("no letters")
			}
		})
	}
}
