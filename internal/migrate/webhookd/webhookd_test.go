package webhookd

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func file(content string, mode uint32) *fstest.MapFile {
	f := &fstest.MapFile{Data: []byte(content)}
	f.Mode = 0o644
	if mode != 0 {
		f.Mode = 0o755
	}
	return f
}

func TestImport_EachScriptIsAHookAtItsPath(t *testing.T) {
	doc, notes := Import("/srv/scripts", fstest.MapFS{
		"build.sh":       file("#!/bin/sh\nlocal_one=1\nfor f in a b; do echo $f; done\necho \"$1 $branch ${x_gitlab_event} $local_one $HOME $hook_id $http_proxy\"\n", 1),
		"site/deploy.py": file("import os\nprint(os.environ['env'], os.getenv(\"who\"))\n", 1),
		"README.md":      file("not a script", 0),
		"odd name.sh":    file("", 1),
		".git/hook.sh":   file("", 1),
	}, Options{Extension: "sh", Timeout: "10s"})
	want := `# Made from /srv/scripts by ` + "`tenterhook import webhookd`" + `; docs/migrating.md says what is different.
# Scripts get the variables that they mention, and no others: not those of the daemon, and not every header.

hooks:
  # Its address with .sh at the end is gone.
  - name: build
    path: /build
    methods: [GET, POST]
    verify: none  # anyone who reaches it starts it
    dedupe: none  # a request that comes twice runs twice, as before
    respond: {wait: 10s}  # with the script's output
    exec: [/srv/scripts/build.sh, "${{ body }}"]
    env:
      branch: '${{ query.branch ?? form.branch ?? header("Branch") }}'
      x_gitlab_event: '${{ header("X-Gitlab-Event") ?? query.x_gitlab_event ?? form.x_gitlab_event }}'
      hook_id: "${{ delivery.id }}"
    timeout: 10s

  - name: site-deploy.py
    path: /site/deploy.py
    methods: [GET, POST]
    verify: none  # anyone who reaches it starts it
    dedupe: none  # a request that comes twice runs twice, as before
    respond: {wait: 10s}  # with the script's output
    exec: [/srv/scripts/site/deploy.py, "${{ body }}"]
    env:
      env: '${{ query.env ?? form.env ?? header("Env") }}'
      who: '${{ query.who ?? form.who ?? header("Who") }}'
    timeout: 10s
`
	if doc == nil {
		t.Fatal(notes)
	}
	if diff := cmp.Diff(want, string(doc.Bytes())); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	var said []string
	for _, n := range notes {
		said = append(said, n.Pos.String()+": "+n.Message)
	}
	for _, part := range []string{"README.md: cannot be run", "odd name.sh: its path", "nothing says who may call"} {
		if !strings.Contains(strings.Join(said, "\n"), part) {
			t.Errorf("nothing was said of %q:\n%s", part, strings.Join(said, "\n"))
		}
	}
}

func TestImport_AFolderWithoutScriptsIsRefused(t *testing.T) {
	doc, notes := Import("/srv", fstest.MapFS{"a.txt": file("", 0)}, Options{Extension: "sh", Timeout: "10s"})
	if doc != nil || len(notes) == 0 || notes[len(notes)-1].Message != "no file in it can be run" {
		t.Errorf("%v %v", doc, notes)
	}
}
