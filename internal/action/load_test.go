package action

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
)

// problems compiles a rule in a folder and returns what is said of it, with places. Like a hook's
// rules, it ends by refusing what nobody knows.
func problems(t *testing.T, dir, rule string) []string {
	t.Helper()
	file, d := config.Parse("hooks.yaml", []byte(rule), config.Options{})
	if d.Err() != nil {
		t.Fatal(d)
	}
	m := file.Root.Map(d)
	a := Compile(m, file.Root, Context{Dir: dir, Diagnostics: d, Hook: "site", Rule: "deploy"})
	m.Close()
	var out []string
	for _, one := range d.All() {
		out = append(out, strings.TrimPrefix(one.Pos.String(), "hooks.yaml:")+" "+strings.ReplaceAll(one.Message, dir, "DIR"))
	}
	if a == nil && len(out) == 0 {
		t.Error("no action, and not a word why")
	}
	return out
}

// workDir is a folder with a program, a file that is none, and a folder.
func workDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"deploy.sh": 0o700, "plain.txt": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\npwd\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCompile_RefusesWhatCannotRun(t *testing.T) {
	dir := workDir(t)
	long := strings.Repeat("x", largestValue+1)
	for name, tt := range map[string]struct{ rule, want string }{
		"nothing to do":               {"timeout: 1s", "1:1 nothing to do: a rule has an action"},
		"two actions":                 {"run: ':'\nexec: ['true']", "1:1 a rule has one action, found exec and run"},
		"an unknown key":              {"run: ':'\nenvv: {}", `2:1 unknown key "envv"`},
		"an empty run":                {"run: ' '", "1:6 run is empty"},
		"a template in shell text":    {"run: |\n  a\n  echo ${{ payload.x }}", "3:8 run is shell text: an expression in it would let the sender write commands"},
		"shell text that is broken":   {"run: |\n  if true; then\n    echo 'x'\n", "2:3 the shell cannot read this: `if` statement must end with `fi`"},
		"shell text that is too long": {"run: echo " + long, "1:6 run is larger than 128 KiB: put it in a script"},
		"a NUL byte in shell text":    {`run: "a\0b"`, "1:6 run holds a NUL byte, which no argument can"},
		"a shell that is not there":   {"run: ':'\nshell: [zork, -c]", `2:9 program "zork" is not in ` + path},
		"a shell the sender picks":    {"run: ':'\nshell: [sh, -c, '${{ payload.x }}']", "2:17 shell is the same for every delivery"},
		"a name the sender picks":     {"http: {url: 'https://a.example', json: {'${{ payload.x }}': 1}}", "1:41 names in json are the same for every delivery"},
		"an empty exec":               {"exec: []", "1:1 exec is empty"},
		"a NUL byte in an argument":   {`exec: ["true", "a\0b"]`, "1:16 the value holds a NUL byte, which no argument or variable can"},
		"an argument too large":       {"exec: ['true', '" + long + "']", "1:16 the value is larger than 128 KiB: use stdin or files"},
		"a program not in PATH":       {"exec: [zork]", `1:8 program "zork" is not in ` + path},
		"a program that is missing":   {"exec: [./zork]", "1:8 program DIR/zork does not exist"},
		"a program that is a folder":  {"exec: [./sub]", "1:8 program DIR/sub is a folder"},
		"a program without the bit":   {"exec: [./plain.txt]", "1:8 program DIR/plain.txt is not executable (chmod +x)"},
		"a program the sender picks":  {"exec: ['./${{ payload.x }}']", "1:8 the program is the same for every delivery: one that the sender chose would be code"},
		"a folder that is missing":    {"run: ':'\ndir: zork", "2:6 folder DIR/zork does not exist"},
		"a folder that is a file":     {"run: ':'\ndir: plain.txt", "2:6 DIR/plain.txt is not a folder"},
		"a folder the sender picks":   {"run: ':'\ndir: '${{ payload.x }}'", "2:6 dir is the same for every delivery"},
		"a variable's name":           {"run: ':'\nenv: {a-b: x}", `2:7 "a-b" is not the name of a variable: letters, digits and _`},
		"a variable without a name":   {"run: ':'\nenv: {'': x}", `2:7 "" is not the name of a variable: letters, digits and _`},
		"a variable of ours":          {"run: ':'\nenv: {HOOK_JOB: x}", "2:7 HOOK_JOB is set by the daemon"},
		"a variable that is code":     {"run: ':'\nenv: {LD_PRELOAD: '${{ payload.x }}'}", "2:7 LD_PRELOAD from a payload would run code of the sender's choice"},
		"a variable that is code too": {"run: ':'\nfiles: {BASH_ENV: x}", "2:9 BASH_ENV from a payload would run code of the sender's choice"},
		"a NUL byte in a variable":    {"run: ':'\nenv: {A: \"\\0\"}", "2:10 the value holds a NUL byte, which no argument or variable can"},
		"a variable and a file":       {"run: ':'\nenv: {A: x}\nfiles: {A: y}", "3:9 A is in env: too"},
		"env that is a list":          {"run: ':'\nenv: [A]", "2:6 expected a mapping from names to values, found a list"},
		"an expression with a fault":  {"run: ':'\nenv: {A: 'x${{ paylod }}'}", `2:16 unknown name "paylod"`},
		"no time at all":              {"run: ':'\ntimeout: 0s", "2:10 timeout is between 1ms and 24h"},
		"far too much time":           {"run: ':'\ntimeout: 25h", "2:10 timeout is between 1ms and 24h"},
		"far too much grace":          {"run: ':'\ngrace: 6m", "2:8 grace is at most 5m0s"},
		"hardly any output":           {"run: ':'\nlimits: {output: 1B}", "2:18 output is between 1KiB and 16MiB"},
		"far too much output":         {"run: ':'\nlimits: {output: 1GiB}", "2:18 output is between 1KiB and 16MiB"},
		"a limit nobody knows":        {"run: ':'\nlimits: {memry: 1GiB}", `2:10 unknown key "memry"`},
		"a user that is not there":    {"run: ':'\nuser: zork", `2:7 user "zork" does not exist`},
		"a group that is not there":   {"run: ':'\nuser: root:zork", `2:7 group "zork" does not exist`},
		"a user the sender picks":     {"run: ':'\nuser: '${{ payload.x }}'", "2:7 user is the same for every delivery"},
		"a umask that is decimal":     {"run: ':'\numask: 088", "2:8 umask is octal, such as 027"},
		"hardly any files":            {"run: ':'\nlimits: {files: 1}", "2:17 files is at least 4, found 1"},
		"a limit nobody holds":        {"run: ':'\nlimits: {processes: 9}", "2:21 nothing can hold this here: no control group was delegated"},
		"no cpu":                      {"run: ':'\nlimits: {cpu: 0}", "2:15 cpu is in cores: 0.5 is half of one, found 0"},
		"a network nobody knows":      {"run: ':'\nsandbox: {network: some}", `2:20 unknown network "some"`},
		"a sandbox without the file":  {"run: ':'\nsandbox: {read: [., zork]}", "2:21 DIR/zork does not exist"},
		"a sandbox the sender picks":  {"run: ':'\nsandbox: {read: [., '${{ payload.x }}']}", "2:21 a sandbox is the same for every delivery"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, problems(t, dir, tt.rule)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestCompile_AScriptThatTheTextBeginsWithIsLookedFor(t *testing.T) {
	dir := workDir(t)
	for text, want := range map[string]string{
		"./zork.sh":                       "1:6 program DIR/zork.sh does not exist",
		"A=b ./zork.sh x | tee y && true": "1:10 program DIR/zork.sh does not exist",
		"./plain.txt":                     "1:6 program DIR/plain.txt is not executable (chmod +x)",
		"./deploy.sh":                     "",
		"git pull && ./zork.sh":           "",
		"/zork$A":                         "",
		"~/zork.sh":                       "",
		"zork":                            "",
		"if ./zork; then true; fi":        "",
	} {
		file, d := config.Parse("hooks.yaml", []byte("run: "+text), config.Options{})
		Compile(file.Root.Map(d), file.Root, Context{Dir: dir, Diagnostics: d})
		got := ""
		for _, one := range d.All() {
			got += strings.TrimPrefix(one.Pos.String(), "hooks.yaml:") + " " + strings.ReplaceAll(one.Message, dir, "DIR")
		}
		if got != want || d.Err() != nil {
			t.Errorf("%s: %q, want the warning %q", text, got, want)
		}
	}
}

func TestCompile_SaysAllProblemsAtOnce(t *testing.T) {
	got := problems(t, workDir(t), "exec: [zork, '${{ paylod }}']\nenv: {a-b: x, HOOK_JOB: y}\ndir: zork\ntimeout: 0s\n")
	if len(got) != 6 {
		t.Errorf("%d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestCompile_RelativePathsStartAtTheConfigurationAndDirMovesThem(t *testing.T) {
	dir := workDir(t)
	for rule, want := range map[string]string{
		"exec: [./deploy.sh]":                                     dir,
		"exec: [deploy.sh]\ndir: .":                               "",
		"exec: [../deploy.sh]\ndir: sub":                          filepath.Join(dir, "sub"),
		"exec: ['" + dir + "/deploy.sh']\ndir: '" + dir + "/sub'": filepath.Join(dir, "sub"),
		"run: pwd":           dir,
		"run: pwd\ndir: sub": filepath.Join(dir, "sub"),
		"run: pwd\ndir:":     dir,
	} {
		file, d := config.Parse("hooks.yaml", []byte(rule), config.Options{})
		a := Compile(file.Root.Map(d), file.Root, Context{Dir: dir, Diagnostics: d})
		if want == "" {
			if d.Err() == nil {
				t.Errorf("%s: a program by name alone was taken from the folder", rule)
			}
			continue
		}
		if d.Err() != nil {
			t.Errorf("%s: %v", rule, d)
			continue
		}
		out := NewOutput(4096)
		if r := prepared(t, a, facts(t)).Run(t.Context(), out); r.Err != nil || strings.TrimSpace(string(out.Bytes())) != want {
			t.Errorf("%s: ran in %q, want %q: %v", rule, out.Bytes(), want, r.Err)
		}
	}
}

func TestCompile_TakesTheDefaultsOfTheLanguage(t *testing.T) {
	run, http := compiled(t, "run: ':'"), compiled(t, "http: {url: 'https://example.com'}")
	if run.Timeout() != 10*time.Minute || run.OutputLimit() != 256<<10 || run.(*command).grace != 10*time.Second || run.Retry().Attempts != 1 {
		t.Errorf("run: %v %d %+v", run.Timeout(), run.OutputLimit(), run.Retry())
	}
	if http.Timeout() != 30*time.Second || http.Retry().Attempts != 5 || http.Retry().Initial != 10*time.Second || http.Retry().Max != time.Hour {
		t.Errorf("http: %v %+v", http.Timeout(), http.Retry())
	}
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	if !slices.Equal(names, []string{"exec", "http", "run"}) {
		t.Errorf("kinds %v", names)
	}
}

func TestCompile_RefusesRequestsThatCannotBeSent(t *testing.T) {
	for name, tt := range map[string]struct{ rule, want string }{
		"no url":                       {"http: {}", `1:7 "url" is missing`},
		"an unknown key":               {"http: {url: 'https://a.example', retries: 3}", `1:34 unknown key "retries"`},
		"another scheme":               {"http: {url: 'file:///etc/passwd'}", `1:13 url wants https:// or http://, found "file"`},
		"no scheme":                    {"http: {url: a.example/x}", `1:13 url wants https:// or http://, found ""`},
		"no host":                      {"http: {url: 'https:///x'}", "1:13 url has no host"},
		"a host the sender picks":      {"http: {url: 'https://${{ payload.host }}/x'}", "1:13 scheme and host of url are the same for every delivery"},
		"part of a host":               {"http: {url: 'https://a.example.${{ payload.tld }}/x'}", "1:13 scheme and host of url are the same for every delivery"},
		"a port the sender picks":      {"http: {url: 'https://a.example:${{ payload.port }}/x'}", "1:13 scheme and host of url are the same for every delivery"},
		"all of it":                    {"http: {url: '${{ payload.url }}'}", "1:13 scheme and host of url are the same for every delivery"},
		"no address":                   {"http: {url: 'https://%31%32%37.0.0.1/'}", "1:13 url is not an address"},
		"a password in it":             {"http: {url: 'https://u:hunter2@a.example'}", "1:13 url holds a password"},
		"a method":                     {"http: {url: 'https://a.example', method: FETCH}", `1:42 unknown method "FETCH"`},
		"a header's name":              {"http: {url: 'https://a.example', headers: {'X A': b}}", `1:44 "X A" is not the name of a header`},
		"a header of ours":             {"http: {url: 'https://a.example', headers: {Host: b}}", "1:44 header Host is set by the daemon"},
		"headers as a list":            {"http: {url: 'https://a.example', headers: [a]}", "1:43 expected a mapping from names to values, found a list"},
		"two bodies":                   {"http: {url: 'https://a.example', json: {}, body: x}", "1:50 a request has json: or body:, not both"},
		"what to expect":               {"http: {url: 'https://a.example', expect: [9xx]}", `1:43 expect wants 2xx, 204 or 200-204, found "9xx"`},
		"an empty range":               {"http: {url: 'https://a.example', expect: 204-200}", `1:42 expect wants 2xx, 204 or 200-204, found "204-200"`},
		"too many redirects":           {"http: {url: 'https://a.example', follow_redirects: 99}", "1:52 follow_redirects is between 0 and 10"},
		"less than no redirects":       {"http: {url: 'https://a.example', follow_redirects: -1}", "1:52 follow_redirects is between 0 and 10"},
		"no time":                      {"http: {url: 'https://a.example', timeout: 0s}", "1:43 timeout is between 1ms and 24h"},
		"no time, in the rule":         {"http: {url: 'https://a.example'}\ntimeout: 0s", "2:10 timeout is between 1ms and 24h"},
		"signing by nothing known":     {"http: {url: 'https://a.example', sign: {scheme: standart, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}", `1:49 unknown scheme "standart": requests are signed by standard (Standard Webhooks)`},
		"signing without a scheme":     {"http: {url: 'https://a.example', sign: {secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}", `1:40 "scheme" is missing`},
		"signing without a secret":     {"http: {url: 'https://a.example', sign: {scheme: standard}}", `1:40 "secret" is missing`},
		"signing with an empty secret": {"http: {url: 'https://a.example', sign: {scheme: standard, secret: ''}}", "1:67 the secret is empty"},
		"signing with no secrets":      {"http: {url: 'https://a.example', sign: {scheme: standard, secret: []}}", "1:67 the list of secrets is empty"},
		"signing with no base64":       {"http: {url: 'https://a.example', sign: {scheme: standard, secret: 'whsec_not base64 at all'}}", "1:67 the secret is not base64: a Standard Webhooks secret is whsec_ and base64, a public key whpk_ and base64"},
		"signing with a public key":    {"http: {url: 'https://a.example', sign: {scheme: standard, secret: whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYq=}}", "1:67 a public key can check signatures, but not make them"},
		"an unknown key of signing":    {"http: {url: 'https://a.example', sign: {scheme: standard, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, tolerance: 5m}}", `1:107 unknown key "tolerance"`},
		"signing by a word":            {"http: {url: 'https://a.example', sign: standard}", `1:40 expected a mapping, found "standard"`},
		"a header of the signature":    {"http: {url: 'https://a.example', headers: {webhook-id: x}, sign: {scheme: standard, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}", "1:44 header webhook-id is set by sign:"},
		"a number JSON has not":        {"http: {url: 'https://a.example', json: {n: .inf}}", "1:44 JSON has no such number"},
		"an expression's fault":        {"http: {url: 'https://a.example', json: {a: ['${{ paylod }}']}}", `1:50 unknown name "paylod"`},
		"a key of commands":            {"http: {url: 'https://a.example'}\ndir: /", `2:1 unknown key "dir"`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]string{tt.want}, problems(t, t.TempDir(), tt.rule)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}
