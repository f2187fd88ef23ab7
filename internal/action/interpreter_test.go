package action

import (
	"strings"
	"testing"
)

func TestExec_NoPayloadBecomesAProgramsText(t *testing.T) {
	const x = `"${{ payload.x }}"`
	for argv, refused := range map[string]bool{
		`sh, -c, ` + x:                      true,
		`sh, -euc, "echo ${{ payload.x }}"`: true,
		`/bin/sh, -eu, -c, ` + x:            true,
		`env, A=b, sh, -c, ` + x:            true,
		`nice, sh, -c, ` + x:                true,
		`timeout, "5", bash, -c, ` + x:      true,
		`python3, -c, ` + x:                 true,
		`perl, -e, ` + x:                    true,
		`awk, ` + x:                         true,
		`sed, -n, ` + x:                     true,
		`sh, -c, 'echo "$1"', it, ` + x:     false,
		`sh, ./deploy.sh, -c, ` + x:         false,
		`python3, -u, ./deploy.py, ` + x:    false,
		`python3, -c, 'import sys', ` + x:   false,
		`echo, -c, ` + x:                    false,
		`awk, '{ print }', ` + x:            false,
		`git, commit, -m, ` + x:             false,
	} {
		_, d := compileRule(t, "exec: ["+argv+"]")
		said := false
		for _, one := range d.All() {
			said = said || strings.Contains(one.Message, "a program's text")
		}
		if said != refused {
			t.Errorf("exec: [%s]: refused is %t, want %t", argv, said, refused)
		}
	}
}
