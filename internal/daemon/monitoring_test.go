package daemon_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const monitored = `hooks:
  - name: site
    path: /site
    provider: github
    secret: ` + secret + `
    run: "true"
    expect: {every: 1h, on_missing: [{run: "true"}]}
`

// metricFamily is what /metrics says of a metric.
type metricFamily struct {
	kind, help string
	labels     map[string]bool
}

// scrape reads everything that a daemon has, which has done a bit of everything: been away, taken a
// delivery, refused a request, run a job.
func scrape(t *testing.T) map[string]*metricFamily {
	t.Helper()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+monitored)
	listenedUntil(t, dir, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	r := startIn(t, dir)
	r.send("POST", "/site", "{}", nil)
	var all map[string]*metricFamily
	sent := 0
	r.eventually("all of that", func() bool {
		sent++
		r.push("/site", fmt.Sprint(sent), "push", "{}")
		_, text := r.admin("../../metrics")
		all = families(text)
		return all["tenterhook_listener_gap_seconds"] != nil && all["tenterhook_job_seconds"] != nil && all["tenterhook_expect_last_timestamp_seconds"] != nil
	})
	for name, family := range elsewhere(t) {
		if all[name] == nil {
			all[name] = family
		}
	}
	return all
}

// elsewhere reads from the code what only a daemon on a database has, or one with a source.
func elsewhere(t *testing.T) map[string]*metricFamily {
	t.Helper()
	desc, label := regexp.MustCompile(`NewDesc\("(\w+)",\s*"([^"]+)",\s*(.*), nil\)`), regexp.MustCompile(`"(\w+)"`)
	all := map[string]*metricFamily{}
	for _, file := range glob(t, "*.go") {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, m := range desc.FindAllStringSubmatch(string(text), -1) {
			all[m[1]] = &metricFamily{kind: "gauge", help: m[2], labels: map[string]bool{}}
			if strings.HasSuffix(m[1], "_total") {
				all[m[1]].kind = "counter"
			}
			for _, l := range label.FindAllStringSubmatch(m[3], -1) {
				all[m[1]].labels[l[1]] = true
			}
		}
	}
	if len(all) < 9 {
		t.Fatalf("the code describes %d metrics", len(all))
	}
	return all
}

var (
	described = regexp.MustCompile(`^# (HELP|TYPE) (\S+) (.*)$`)
	sampled   = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? \S+$`)
	labelName = regexp.MustCompile(`(\w+)="`)
)

func families(text string) map[string]*metricFamily {
	all := map[string]*metricFamily{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := described.FindStringSubmatch(line); m != nil {
			if all[m[2]] == nil {
				all[m[2]] = &metricFamily{labels: map[string]bool{}}
			}
			if m[1] == "HELP" {
				all[m[2]].help = m[3]
			} else {
				all[m[2]].kind = m[3]
			}
		} else if m := sampled.FindStringSubmatch(line); m != nil {
			family := all[m[1]]
			if family == nil {
				family = all[base(m[1])]
			}
			for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
				if family != nil && label[1] != "le" && label[1] != "quantile" {
					family.labels[label[1]] = true
				}
			}
		}
	}
	return all
}

// base is the metric that a series of a histogram belongs to.
func base(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(series, suffix); ok {
			return name
		}
	}
	return series
}

func TestMonitoring_TheDashboardAndTheRulesAskForMetricsThatThereAre(t *testing.T) {
	all := scrape(t)
	named := regexp.MustCompile(`\b(?:tenterhook|process|go)_[a-z_]+\b(?:\{[^}]*\})?`)
	for _, file := range []string{"dashboard.json", "alerts.yml", "alerts.test.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "monitoring", file))
		must(t, err)
		found := named.FindAllString(string(text), -1)
		if len(found) < 8 {
			t.Errorf("%s names %d metrics", file, len(found))
		}
		for _, series := range found {
			name, labels, _ := strings.Cut(series, "{")
			family := all[name]
			if family == nil && all[base(name)] != nil && all[base(name)].kind == "histogram" {
				family = all[base(name)]
			}
			if family == nil {
				t.Errorf("%s asks for %s, which the daemon does not have", file, name)
				continue
			}
			for _, label := range regexp.MustCompile(`(\w+) ?(?:=~|!=|=|!~)`).FindAllStringSubmatch(labels, -1) {
				if !family.labels[label[1]] && !slices.Contains([]string{"job", "instance", "le"}, label[1]) {
					t.Errorf("%s asks for %s by %s, which it does not have", file, name, label[1])
				}
			}
		}
	}
}

// No metric is missing from the page, since what the code registers is compared with it, too.
func TestMonitoring_ThePageHasEveryMetric(t *testing.T) {
	all := scrape(t)
	var rows strings.Builder
	rows.WriteString("| metric | type | labels | what it is |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if f := all[name]; strings.HasPrefix(name, "tenterhook_") {
			fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", name, f.kind, strings.Join(slices.Sorted(maps.Keys(f.labels)), ", "), f.help)
		}
	}
	const begin, end = "<!-- metrics, written by go test ./internal/daemon -run Monitoring -update -->\n", "<!-- end of metrics -->\n"
	path := filepath.Join("..", "..", "docs", "monitoring.md")
	text, err := os.ReadFile(path)
	must(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	written, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the page has no place for the metrics")
	}
	if *update {
		must(t, os.WriteFile(path, []byte(before+begin+rows.String()+end+after), 0o644))
	} else if written != rows.String() {
		t.Errorf("the page says\n%s\nthe daemon\n%s\n(-update writes it)", written, rows.String())
	}
	for _, name := range registered(t) {
		if all[name] == nil {
			t.Errorf("%s is registered, and not among what this test makes happen", name)
		}
	}
}

// registered are the names of metrics in the code.
func registered(t *testing.T) (names []string) {
	t.Helper()
	quoted := regexp.MustCompile(`"(tenterhook_[a-z_]+)"`)
	for _, file := range glob(t, "*.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		must(t, err)
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	if len(names) < 10 {
		t.Fatalf("the code names %d metrics", len(names))
	}
	return names
}

func TestMonitoring_TheRulesHoldTheirOwnTests(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("TENTERHOOK_PROMTOOL") == "required" {
			t.Fatal(err)
		}
		t.Skip("needs promtool: apt-get install prometheus")
	}
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"},
		{"check", "config", "--syntax-only", "prometheus.yml"},
		{"test", "rules", "alerts.test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join("..", "..", "examples", "monitoring")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestMetrics_CountersThatAlertsLookAtBeginBeforeTheirFirstEvent(t *testing.T) {
	r := start(t, monitored)
	_, text := r.admin("../../metrics")
	write(t, filepath.Join(r.dir, "hooks.yaml"), header(r.dir)+strings.ReplaceAll(monitored, "site", "other"))
	for name, now := range map[string]func() string{
		"site":  func() string { return text },
		"other": func() string { _, now := r.admin("../../metrics"); return now }, // after the reload, which is a moment away
	} {
		for _, series := range []string{
			`tenterhook_refused_total{error="cannot_store",hook="%s"} 0`, `tenterhook_refused_total{error="verification_failed",hook="%s"} 0`,
			`tenterhook_jobs_total{hook="%[1]s",rule="%[1]s",state="failed"} 0`, `tenterhook_deliveries_total{hook="%s",outcome="accepted"} 0`,
		} {
			want := fmt.Sprintf(series, name)
			r.eventually(want, func() bool { return strings.Contains(now(), want) })
		}
	}
}
