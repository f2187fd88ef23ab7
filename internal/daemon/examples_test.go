package daemon_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// exampleIn copies an example into a folder of its own and starts a daemon on its hooks.yaml as
// it is, with what the example's reader has to set in the environment.
func exampleIn(t *testing.T, name string, environ ...string) *running {
	t.Helper()
	dir := shortDir(t)
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", name))))
	for _, script := range glob(t, filepath.Join(dir, "*.sh")) {
		must(t, os.Chmod(script, 0o700)) // CopyFS leaves the mode to the umask
	}
	return startWith(t, dir, exampleOptions(dir, environ))
}

func exampleOptions(dir string, environ []string) config.Options {
	return config.Options{
		Path:    filepath.Join(dir, "hooks.yaml"),
		Environ: environ,
		Overrides: map[string]string{
			"server.listen": "127.0.0.1:0", "admin.listen": "unix:" + dir + "/admin.sock", "store.url": "sqlite:" + dir + "/t.db",
		},
	}
}

// exampleAgain starts a daemon where one was stopped.
func exampleAgain(t *testing.T, r *running, environ ...string) *running {
	t.Helper()
	return startWith(t, r.dir, exampleOptions(r.dir, environ))
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	must(t, err)
	return found
}

// copies sends one delivery so many times in parallel, and returns the one answer that was no
// duplicate. Copies agree on the delivery's id.
func copies(t *testing.T, n int, send func() answer) answer {
	t.Helper()
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = send() })
	}
	all.Wait()
	var first answer
	for _, a := range answers {
		switch {
		case a.status == http.StatusAccepted && first.status == 0:
			first = a
		case a.status != http.StatusOK || a.json.Status != "duplicate":
			t.Errorf("a copy was answered %d %s", a.status, a.body)
		}
	}
	for _, a := range answers {
		if a.json.Delivery != first.json.Delivery {
			t.Errorf("a copy was told delivery %s, the first %s", a.json.Delivery, first.json.Delivery)
		}
	}
	return first
}

// onlyJob waits for the only job of the hook's whole life to have succeeded, with one attempt.
func (r *running) onlyJob(rule string) (output string) {
	r.t.Helper()
	r.eventually("the job to end", func() bool { return r.status().Jobs[job.Running]+r.status().Jobs[job.Queued] == 0 })
	jobs, _, err := r.client.Jobs(r.t.Context(), store.Filter{Limit: 100})
	must(r.t, err)
	if len(jobs) != 1 || jobs[0].Rule != rule {
		r.t.Fatalf("%d jobs, want one of rule %s: %+v", len(jobs), rule, jobs)
	}
	j := r.job(jobs[0].ID)
	if j.State != job.Succeeded || len(j.Attempts) != 1 {
		r.t.Fatalf("job %s after %d attempts: %s", j.State, len(j.Attempts), j.Reason)
	}
	return string(j.Attempts[0].Output)
}

func TestExample_GitHubDeployDeploysAPushOnce(t *testing.T) {
	r := exampleIn(t, "github-deploy", "GITHUB_WEBHOOK_SECRET="+secret)
	body := read(t, filepath.Join(r.dir, "testdata", "push-main.json"))
	if a := r.send("POST", "/github", body+" ", map[string]string{"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Event": "push", "X-GitHub-Delivery": "1"}); a.status != http.StatusUnauthorized {
		t.Errorf("a changed body was answered %d", a.status)
	}
	copies(t, 50, func() answer { return r.push("/github", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "push", body) })
	output := r.onlyJob("deploy")
	release, err := os.Readlink(filepath.Join(r.dir, "site", "current"))
	must(t, err)
	if version := read(t, filepath.Join(r.dir, "site", "current", "VERSION")); !strings.Contains(output, "current is "+release) || version != "Codertocat/Hello-World "+filepath.Base(release)+"\n" {
		t.Errorf("deployed %s with VERSION %q; output %s", release, version, output)
	}
}

func TestExample_GitHubDeployTidiesUpAfterADeletedTag(t *testing.T) {
	r := exampleIn(t, "github-deploy", "GITHUB_WEBHOOK_SECRET="+secret)
	body := read(t, filepath.Join(r.dir, "testdata", "push-tag-deleted.json"))
	copies(t, 50, func() answer { return r.push("/github", "1", "push", body) })
	if output := r.onlyJob("untag"); output != "tag simple-tag of Codertocat/Hello-World is gone\n" {
		t.Errorf("output %q", output)
	}
}

func TestExample_StripePaymentsRecordsAPaymentOnce(t *testing.T) {
	const key = "whsec_0123456789abcdef0123456789abcdef"
	r := exampleIn(t, "stripe-payments", "STRIPE_WEBHOOK_SECRET="+key)
	body := read(t, filepath.Join(r.dir, "testdata", "payment_intent.succeeded.json"))
	copies(t, 50, func() answer { return r.stripe(key, body) })
	r.onlyJob("paid")
	ledger := read(t, filepath.Join(r.dir, "payments.csv"))
	if strings.Count(ledger, "\n") != 1 || !strings.HasPrefix(ledger, "evt_") {
		t.Errorf("ledger:\n%s", ledger)
	}
	if a := r.stripe(key+"x", body); a.status != http.StatusUnauthorized {
		t.Errorf("another secret's signature was answered %d", a.status)
	}
}

func TestExample_StripePaymentsKnowsStripesOwnTestEvent(t *testing.T) {
	const key = "whsec_test_secret_of_stripe_go"
	r := exampleIn(t, "stripe-payments", "STRIPE_WEBHOOK_SECRET="+key)
	body := read(t, filepath.Join(r.dir, "testdata", "evt_test_webhook.json"))
	copies(t, 50, func() answer { return r.stripe(key, body) })
	if output := r.onlyJob("test"); output != "the endpoint works\n" {
		t.Errorf("output %q", output)
	}
}

// stripe sends body as Stripe would, each time with a fresh timestamp and signature.
func (r *running) stripe(key, body string) answer {
	r.t.Helper()
	now := time.Now().Unix()
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.%s", now, body)
	return r.send("POST", "/stripe", body, map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": fmt.Sprintf("t=%d,v1=%s", now, hex.EncodeToString(mac.Sum(nil))),
	})
}

func TestExample_SystemdsConfigurationLoadsAndItsUnitsAreWellFormed(t *testing.T) {
	credentials := shortDir(t)
	write(t, filepath.Join(credentials, "github"), secret)
	folder := filepath.Join("..", "..", "examples", "systemd")
	_, d := daemon.Load(config.Options{Path: filepath.Join(folder, "hooks.yaml"), Environ: []string{"CREDENTIALS_DIRECTORY=" + credentials}}, false)
	if err := d.Err(); err != nil {
		t.Error(err)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("the units are not verified: systemd-analyze is not here")
	}
	// The program the units start has to be there to be verified: any will do.
	units := shortDir(t)
	for _, name := range []string{"tenterhook.service", "tenterhook.socket"} {
		write(t, filepath.Join(units, name), strings.ReplaceAll(read(t, filepath.Join(folder, name)), "/usr/local/bin/tenterhook", "/bin/true"))
	}
	out, err := exec.Command(analyze, "verify", "--man=no", filepath.Join(units, "tenterhook.service"), filepath.Join(units, "tenterhook.socket")).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, units) {
			t.Errorf("systemd-analyze: %s", line)
		}
	}
	if err != nil {
		t.Logf("systemd-analyze: %v\n%s", err, out) // it also judges the machine's own units
	}
}

// startWith runs the daemon in dir with these options until the test ends.
func startWith(t *testing.T, dir string, o config.Options, adjust ...func(*daemon.Options)) *running {
	t.Helper()
	r := &running{t: t, dir: dir, log: &lines{}}
	options := daemon.Options{Config: o, Log: slog.New(slog.NewTextHandler(r.log, nil))}
	for _, a := range adjust {
		a(&options)
	}
	r.run(options)
	return r
}

func TestREADME_ShowsTheRootConfiguration(t *testing.T) {
	readme, root := read(t, filepath.Join("..", "..", "README.md")), read(t, filepath.Join("..", "..", "hooks.yaml"))
	_, block, found := strings.Cut(readme, "```yaml\n")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed || !strings.Contains(root, block) {
		t.Errorf("the README's YAML is not in hooks.yaml:\n%s", block)
	}
	if _, d := daemon.Load(config.Options{Path: filepath.Join("..", "..", "hooks.yaml")}, false); d.Err() != nil {
		t.Error(d.Err())
	}
	if _, d := daemon.Load(config.Options{Path: filepath.Join("..", "..", "hooks.yaml")}, true); d.Err() == nil {
		t.Error("the sample secret is taken on a listener that other machines reach")
	}
}
