package daemon_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBacktest_TriesACandidateWithoutReadingMoreThanWhatRuns(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "secret"), secret)
	write(t, filepath.Join(dir, "other"), "the-other-file-0123456789")
	write(t, filepath.Join(dir, "more.yaml"), "hooks: []\n")
	running := header(dir) + "hooks: [{name: site, path: /x, provider: github, secret: '${file:secret}', match: event == 'push', run: 'true'}]\n"
	write(t, filepath.Join(dir, "hooks.yaml"), running)
	r := startIn(t, dir)
	for i, event := range []string{"push", "push", "ping"} {
		if a := r.push("/x", string(rune('a'+i)), event, "{}"); a.status/100 != 2 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	try := func(old, new string) (lost, gained int, problems string) {
		t.Helper()
		report, found, err := r.daemon.Backtest(t.Context(), strings.Replace(running, old, new, 1), time.Now().Add(-time.Hour))
		must(t, err)
		for _, one := range found {
			problems += one.Message + "\n"
		}
		if report != nil {
			for _, rule := range report.Rules {
				lost, gained = lost+rule.Lost.Count, gained+rule.Gained.Count
			}
		}
		return lost, gained, problems
	}
	if lost, gained, problems := try("event == 'push'", "event == 'ping'"); lost != 2 || gained != 1 || problems != "" {
		t.Errorf("lost %d, gained %d, %s", lost, gained, problems)
	}
	for _, tt := range []struct{ what, old, new, want string }{
		{"a mistake", "event ==", "evnt ==", `unknown name "evnt"`},
		{"another file", "${file:secret}", "${file:other}", "is not a file that the running configuration reads"},
		{"a file by another way of writing", "'${file:secret}'", `"${fi\u006ce:` + dir + `/other}"`, "is not a file that the running configuration reads"},
		{"another variable", "${file:secret}", "${HOME}", "HOME is not set"},
		{"a condition on a secret", "event == 'push'", `"'${file:secret}' startsWith '0'"`, "only as the configuration that runs has it"},
		{"a secret as a condition", "event == 'push'", "${file:secret}", "only as the configuration that runs has it"},
		{"a condition on the daemon's own variables", "event == 'push'", `"'${TENTERHOOK_ADMIN__TOKEN:-}' == ''"`, "only as the configuration that runs has it"},
		{"an included file", "hooks: [", "include: [more.yaml]\nhooks: [", "more.yaml does not exist"},
	} {
		if _, _, problems := try(tt.old, tt.new); !strings.Contains(problems, tt.want) || strings.Contains(problems, "the-other-file") {
			t.Errorf("%s: %q, want %q in it", tt.what, problems, tt.want)
		}
	}
	if got := r.status().Config.Digest; got != r.daemon.Config().File.Digest {
		t.Errorf("digest %s runs", got)
	}
}
