package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/admin"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/golden/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestOutput_OfWhatIsRead(t *testing.T) {
	for name, args := range map[string][]string{
		"jobs.txt":               {"jobs"},
		"jobs-failed.txt":        {"jobs", "--state", "failed"},
		"jobs.json":              {"jobs", "--json"},
		"job.txt":                {"jobs", "show", id(11)},
		"job-running.txt":        {"jobs", "show", id(12)},
		"job-queued.txt":         {"jobs", "show", id(13)},
		"job.json":               {"jobs", "show", id(11), "--json"},
		"job-logs.txt":           {"jobs", "logs", id(11)},
		"job-logs-first.txt":     {"jobs", "logs", id(11), "--attempt", "1"},
		"deliveries.txt":         {"deliveries"},
		"deliveries.json":        {"deliveries", "--json"},
		"delivery.txt":           {"deliveries", "show", id(1)},
		"delivery.json":          {"deliveries", "show", id(1), "--json"},
		"delivery-hostile.txt":   {"deliveries", "show", id(2)},
		"delivery-body-only.txt": {"deliveries", "show", id(2), "--body"},
	} {
		t.Run(name, func(t *testing.T) {
			got := offline(t, sample(), args...)
			if got.status != exitOK || got.stderr != "" {
				t.Errorf("exit status %d: %s", got.status, got.stderr)
			}
			golden(t, name, got.stdout)
			if strings.Contains(name, "-logs") || strings.Contains(name, "body-only") {
				return // bytes as they are: this is no terminal
			}
			if i := strings.IndexAny(got.stdout, "\x1b\x07\u202e\r"); i >= 0 {
				t.Errorf("a control character at byte %d of\n%q", i, got.stdout)
			}
		})
	}
}

// On a terminal there is colour, long reasons are cut, and output keeps its colours but nothing
// else that a terminal would obey.
func TestOutput_OnATerminal(t *testing.T) {
	var out bytes.Buffer
	tty := look{terminal: true, color: true, width: 70}
	e := &env{stdout: &out, out: tty, now: timeIsNoon}
	k := sample()
	k.jobs[2].Reason = "exit status 3: make: *** [Makefile:12: site] Error 3"
	var jobs []admin.Job
	for i := range k.jobs {
		jobs = append(jobs, admin.NewJob(&k.jobs[i]))
	}
	jobsTable(e, jobs)
	out.WriteString("\n")
	detail := admin.NewJobDetail(&k.jobs[2], k.attempts[id(11)], nil)
	showJob(e, &detail)
	if err := e.writeOutput(k.attempts[id(11)][1].Output); err != nil {
		t.Fatal(err)
	}
	golden(t, "terminal.txt", out.String())
	if strings.Contains(out.String(), "\x1b]") || strings.Contains(out.String(), "\x07") {
		t.Errorf("a terminal would obey\n%q", out.String())
	}
}

func TestOutput_NoRowsIsSaidBeside(t *testing.T) {
	for list, want := range map[string]string{"jobs": "tenterhook: no jobs found\n", "deliveries": "tenterhook: no deliveries found\n"} {
		if got := offline(t, &kept{}, list); got != (result{exitOK, "", want}) {
			t.Errorf("%s: %+v", list, got)
		}
		if got := offline(t, &kept{}, list, "--json"); got != (result{exitOK, "[]\n", ""}) {
			t.Errorf("%s --json: %+v", list, got)
		}
	}
}

func TestOutput_NextPageIsNamed(t *testing.T) {
	got := offline(t, sample(), "jobs", "--limit", "2")
	if want := "tenterhook: there may be more: --cursor " + id(12) + "\n"; got.stderr != want || strings.Count(got.stdout, "\n") != 3 {
		t.Errorf("%+v", got)
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"help.txt":           {"--help"},
		"help-jobs.txt":      {"jobs", "-h"},
		"help-jobs-list.txt": {"jobs", "list", "--help"},
		"help-jobs-show.txt": {"jobs", "show", "--help"},
	} {
		got := offline(t, sample(), args...)
		if got.status != exitOK || got.stderr != "" {
			t.Errorf("%s: %+v", name, got)
		}
		golden(t, name, got.stdout)
	}
	if got := offline(t, sample()); got.status != exitUsage || got.stdout != "" || !strings.HasPrefix(got.stderr, "Usage: tenterhook") {
		t.Errorf("without a command: %+v", got)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain Zoë 漢字 🎉":         "plain Zoë 漢字 🎉",
		"\x1b[2J\x07\x7f":        `\x1b[2J\x07\x7f`,
		"a\nb\tc\r":              `a\nb\tc\r`,
		"\u009b31m\u202e\u2066x": `\u009b31m\u202e\u2066x`,
		"\u200bzero\ufeff\u2028": `\u200bzero\ufeff\u2028`,
		"bad \xff\xc0":           `bad \xff\xc0`,
		"\U000e0041tag":          `\U000e0041tag`,
		"\ufffd":                 "\ufffd",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"a\nb\tc":                     "a\nb\tc",
		"\x1b[1;31mred\x1b[0m":        "\x1b[1;31mred\x1b[0m\x1b[0m",
		"\x1b[31mleft open":           "\x1b[31mleft open\x1b[0m",
		"\x1b[31":                     `\x1b[31`,
		"\x1b[2K\x1b[1Aover\rwritten": `\x1b[2K\x1b[1Aover\rwritten`,
		"dos\r\n":                     "dos\n",
		"\x1b]52;c;eA==\x07":          `\x1b]52;c;eA==\x07`,
	} {
		if got := printableOutput(in); got != want {
			t.Errorf("printableOutput(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPrintableJSON_IsTheSameDocument(t *testing.T) {
	in := map[string]string{"a": "\u202e\u007f\U000e0041 Zoë 🎉\n\"\\"}
	var out bytes.Buffer
	if err := writeJSON(&out, in); err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"a\": \"\\u202e\\u007f\\udb40\\udc41 Zoë 🎉\\n\\\"\\\\\"\n}\n"; out.String() != want || got["a"] != in["a"] {
		t.Errorf("got %s, which is %q", out.String(), got["a"])
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\r\n\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if got := printable(s); strings.IndexFunc(got, func(r rune) bool { return !harmless(r) }) >= 0 {
			t.Errorf("printable(%q) = %q", s, got)
		}
		got := colors.ReplaceAllString(printableOutput(s), "")
		if strings.IndexFunc(got, func(r rune) bool { return !harmless(r) && r != '\n' && r != '\t' }) >= 0 {
			t.Errorf("printableOutput(%q) = %q", s, got)
		}
	})
}
