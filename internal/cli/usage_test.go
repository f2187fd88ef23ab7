package cli

import (
	"strings"
	"testing"
	"time"
)

func timeIsNoon() time.Time { return noon }

func TestUsage_MistakesAreExplained(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string // of standard error, without "tenterhook: "
	}{
		{"jbos", "error: there is no command \"jbos\"\nhint: did you mean \"jobs\"?\nhint: \"tenterhook --help\" says how it is used\n"},
		{"frobnicate", "error: there is no command \"frobnicate\"\nhint: \"tenterhook --help\" says how it is used\n"},
		{"jobs shwo", "error: unexpected argument \"shwo\"\nhint: did you mean \"show\"?\nhint: \"tenterhook jobs --help\" says how it is used\n"},
		{"jobs 3f9a2b1c", "error: unexpected argument \"3f9a2b1c\"\nhint: to show one: \"tenterhook jobs show 3f9a2b1c\"\nhint: \"tenterhook jobs --help\" says how it is used\n"},
		{"jobs list --stat failed", "error: unknown flag --stat\nhint: did you mean \"--state\"?\nhint: \"tenterhook jobs list --help\" says how it is used\n"},
		{"deliveries save", "error: <id> is missing\nhint: \"tenterhook deliveries save --help\" says how it is used\n"},
		{"jobs -c", "error: --config needs a value\nhint: \"tenterhook jobs --help\" says how it is used\n"},
		{"jobs --state done", "error: --state done: state must be one of scheduled, queued, running, succeeded, failed, timed_out, cancelled, superseded, skipped, stale, expired, interrupted\n"},
		{"jobs --limit 501", "error: --limit must be from 1 to 500\n"},
		{"jobs --since soon", "error: --since: \"soon\" is neither a time such as 2026-01-02T15:04:05Z nor a duration such as 24h or 7d\n"},
		{"deliveries --outcome lost", "error: --outcome lost: outcome must be one of accepted, ignored, duplicate\n"},
		{"deliveries show x --body --json", "error: --body and --json exclude each other\n"},
		{"jobs logs x -f --attempt 2", "error: --attempt takes a number from 1, and not together with --follow\n"},
		{"jobs show site", "error: \"site\" is not the id of a job\nhint: an id, or at least 6 characters of its beginning or end\n"},
		{"completion tcsh", "error: <shell> must be one of \"bash\",\"zsh\",\"fish\" but got \"tcsh\"\nhint: \"tenterhook completion --help\" says how it is used\n"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			got := offline(t, sample(), strings.Fields(tt.args)...)
			want := "tenterhook: " + strings.ReplaceAll(strings.TrimSuffix(tt.want, "\n"), "\n", "\ntenterhook: ") + "\n"
			if got.status != exitUsage || got.stdout != "" || got.stderr != want {
				t.Errorf("exit status %d, stdout %q, stderr\n%s\nwant\n%s", got.status, got.stdout, got.stderr, want)
			}
		})
	}
}

func TestIDs_MayBeCutShort(t *testing.T) {
	k := sample()
	k.jobs[1].ID = "019d1111-0000-7000-8000-00000abcdef0"
	k.jobs[2].ID = "019d2222-0000-7000-8000-00001abcdef0"
	for _, tt := range []struct {
		word, want string
		status     int
	}{
		{k.jobs[1].ID, "running", 0},
		{strings.ToUpper(k.jobs[1].ID), "running", 0},
		{"0abcdef0", "running", 0},
		{"1abcdef0", "failed", 0},
		{"019d1111-0", "running", 0},
		{"…1abcdef0", "failed", 0},
		{"abcdef0", `2 ids of a job are like "abcdef0"`, exitFailed},
		{"019d11", "running", 0},
		{"019d1", `"019d1" is not the id of a job`, exitUsage},
		{"ffffffff", `no job among the newest 500 has an id like "ffffffff"`, exitFailed},
		{"019d1111-0000-7000-8000-000000000000", "not found", exitFailed},
		{"zzzzzzzz", "is not the id of a job", exitUsage},
	} {
		got := offline(t, k, "jobs", "show", tt.word)
		if got.status != tt.status || !strings.Contains(got.stdout+got.stderr, tt.want) {
			t.Errorf("%s: %+v, want %q", tt.word, got, tt.want)
		}
	}
	if got := offline(t, k, "jobs", "--delivery", "00000001"); got.status != 0 || strings.Count(got.stdout, "\n") != 4 {
		t.Errorf("jobs of a delivery by its short id: %+v", got)
	}
}
