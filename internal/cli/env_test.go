package cli

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	const token = "correct horse battery staple"
	for _, tt := range []struct {
		name, yaml string
		want       settings // store and unix paths below the file's folder
		problem    string
	}{
		{name: "nothing said", yaml: "hooks: []\n", want: settings{defaultListen, "", "DIR/tenterhook.db"}},
		{name: "empty sections", yaml: "admin:\nstore:\n", want: settings{defaultListen, "", "DIR/tenterhook.db"}},
		{name: "all said", yaml: "admin: {listen: 127.0.0.1:7, token: \"${ADMIN_TOKEN}\"}\nstore: {url: \"sqlite:/srv/x.db\"}\n", want: settings{"127.0.0.1:7", token, "/srv/x.db"}},
		{name: "a relative socket", yaml: "admin: {listen: \"unix:run/s\"}\n", want: settings{"unix:DIR/run/s", "", "DIR/tenterhook.db"}},
		{name: "a store that is no file", yaml: "store: {url: \"postgres://db/x\"}\n", want: settings{defaultListen, "", "postgres://db/x"}},
		{name: "a store of a kind that is not known", yaml: "store: {url: \"mysql://db/x\"}\n", want: settings{defaultListen, "", ""}},
		{name: "keys of others", yaml: "admin: {hosts: [a]}\nstore: {retention: {for: 14d}}\n", want: settings{defaultListen, "", "DIR/tenterhook.db"}},
		{name: "problems elsewhere", yaml: "hooks:\n  - name: ${NOT_SET}\n    nonsense: 1\nserver: {tls: 7}\n", want: settings{defaultListen, "", "DIR/tenterhook.db"}},
		{name: "token not set", yaml: "admin:\n  token: ${NOT_SET}\n", problem: "hooks.yaml:2:10: "},
		{name: "listen of a wrong type", yaml: "admin:\n  listen: [1, 2]\n", problem: "hooks.yaml:2:11: "},
		{name: "no YAML", yaml: "admin: [\n", problem: "hooks.yaml:"},
		{name: "empty file", yaml: "", problem: "hooks.yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "hooks.yaml")
			write(t, file, tt.yaml)
			var stderr bytes.Buffer
			e := &env{config: file, stderr: &stderr, environ: []string{"ADMIN_TOKEN=" + token}}
			got, err := e.settings()
			if tt.problem != "" {
				if status := e.report(err); status != exitConfig || !strings.Contains(stderr.String(), tt.problem) {
					t.Errorf("exit status %d, want 3; stderr %q, want %q", status, stderr.String(), tt.problem)
				}
				return
			}
			got.listen, got.store = strings.ReplaceAll(got.listen, dir, "DIR"), strings.ReplaceAll(got.store, dir, "DIR")
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v, %s; want %+v", got, err, stderr.String(), tt.want)
			}
		})
	}
}

func TestSettings_WithoutTheAdminsTokenTheOneThatMayDoTheMost(t *testing.T) {
	for text, want := range map[string]string{
		"tokens: [{name: a, token: reads, scope: read}, {name: b, token: rules, scope: admin}, {name: c, token: runs, scope: run}]": "rules",
		"tokens: [{name: c, token: runs, scope: run}, {name: a, token: reads, scope: read}]":                                        "runs",
		"token: boss\n  tokens: [{name: b, token: rules, scope: admin}]":                                                            "boss",
		"listen: 127.0.0.1:1": "",
	} {
		file := filepath.Join(t.TempDir(), "hooks.yaml")
		write(t, file, "admin:\n  "+text+"\n")
		s, err := (&env{config: file, stderr: io.Discard}).settings()
		if err != nil || s.token != want {
			t.Errorf("%s: %q, %v", text, s.token, err)
		}
	}
}
