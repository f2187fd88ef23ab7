package action

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostileValues are what a sender may put into a branch's or a file's name so that a shell would
// make a file called canary of it.
func hostileValues() (all []string) {
	const touch = "touch canary"
	for _, form := range []string{
		"; #", "&& #", "|| #", "| #", "& #", "\n#\n", "\r\n#\r\n", "`#`", "$(#)", "${x:-$(#)}", "$((a[$(#)]))", "a[$(#)]", "'; #; '", "\"; #; \"", "'\"; #; \"'",
		"\\; #", "\\\n#", ">canary", ">>canary", "<(#)", ">(#)", "| tee canary", "{ #; }", "(#)", "!#", "$IFS;#", "x=canary; touch $x", "%0a#", "\t;#", "\x01;#",
		"$'\\n'#", "*;#", "~;#", "-c '#'", "--; #", "-e #", "--upload-pack=#", "-oProxyCommand=#", "@canary", "\\`#\\`", "'`#`'", "\"$(#)\"", "'$(#)'", "eval #",
		". canary", "exec #", "trap '#' EXIT", "#;:", "\u2028#", "\u00a0;#", "；#", "'+$(#)+'", "{{#}}", "${{ # }}", "%(#)s", "<%= `#` %>", "() { :; }; #",
	} {
		all = append(all, strings.ReplaceAll(form, "#", touch))
	}
	return all
}

// TestInjection_F10_NoValueIsShellText passes hostile values through every door into every shell:
// each arrives as it was sent, and none of them is run.
func TestInjection_F10_NoValueIsShellText(t *testing.T) {
	values := hostileValues()
	doors := map[string]string{
		"a variable":     "run: 'printf %s \"$V\" > got'\nenv: {V: '${{ payload.v }}'}",
		"a file":         "run: 'cat \"$V\" > got'\nfiles: {V: '${{ payload.v }}'}",
		"standard input": "run: 'cat > got'\nstdin: '${{ payload.v }}'",
		"an argument":    "exec: [sh, -c, 'printf %s \"$1\" > got', it, '${{ payload.v }}']",
	}
	tried := 0
	for door, rule := range doors {
		for _, shell := range []string{"sh", "dash", "bash"} {
			if strings.HasPrefix(rule, "run:") {
				rule += "\nshell: [" + shell + ", -euc]"
			}
			if shell != "sh" && door != "a variable" {
				continue // what the shell is given is the same
			}
			dir := t.TempDir()
			a := compiled(t, rule+"\ndir: '"+dir+"'")
			rule, _, _ = strings.Cut(rule, "\nshell:")
			for _, value := range values {
				body, err := json.Marshal(map[string]string{"v": value})
				if err != nil {
					t.Fatal(err)
				}
				p, err := a.Prepare(delivery(string(body)), facts(t))
				if err != nil {
					t.Fatalf("%s, %q: %v", door, value, err)
				}
				out := NewOutput(4096)
				r := p.Run(t.Context(), out)
				got, err := os.ReadFile(filepath.Join(dir, "got"))
				if r.Err != nil || err != nil || string(got) != value {
					t.Errorf("%s of %s: %q arrived as %q: %v %s", door, shell, value, got, r.Err, out.Bytes())
				}
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) != 1 {
					t.Fatalf("%s of %s: %q made files: %v %v", door, shell, value, entries, err)
				}
				tried++
			}
		}
	}
	if !slices.Contains(values, "$(touch canary)") || tried < 300 {
		t.Errorf("only %d values were tried", tried)
	}
	t.Logf("none of %d hostile values was run by a shell", tried)
}
