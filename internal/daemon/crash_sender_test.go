package daemon_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// outage is what one sender sends to a daemon that is dead for an hour.
type outage struct {
	provider, event string
	server          func() *sendertest.Server
	body            string                                   // of delivery number %d
	header          func(key, body string) map[string]string // of one that arrives
	pull            string                                   // instead of catchup
}

var (
	githubOutage = outage{
		provider: "github", event: "push", server: sendertest.GitHub, body: `{"n":%d}`,
		header: func(key, body string) map[string]string {
			return map[string]string{"X-GitHub-Delivery": key, "X-GitHub-Event": "push", "X-Hub-Signature-256": sign(secret, body)}
		},
	}
	gitlabOutage = outage{
		provider: "gitlab", event: "push", server: sendertest.GitLab, body: `{"object_kind":"push","n":%d}`,
		header: func(key, _ string) map[string]string {
			return map[string]string{"Idempotency-Key": key, "X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret}
		},
	}
	stripeOutage = outage{
		provider: "stripe", event: "invoice.paid", server: sendertest.Stripe, body: `{"n":%d}`,
		header: func(_, body string) map[string]string {
			now := time.Now().Unix()
			return map[string]string{"Stripe-Signature": fmt.Sprintf("t=%d,v1=%s", now, strings.TrimPrefix(sign(secret, fmt.Sprintf("%d.%s", now, body)), "sha256="))}
		},
	}
)

// hooks is the configuration of a daemon whose runs leave lines in a ledger.
func (o outage) hooks(ledger, api string) string {
	target, way := ", target: acme/site", "catchup: {every: 1m}"
	if o.provider == "stripe" {
		target = ""
	}
	if o.pull != "" {
		way = "pull: " + o.pull
	}
	return fmt.Sprintf(`hooks:
  - name: site
    path: /site
    provider: %s
    secret: %s
    api: {url: '%s', token: %s%s}
    %s
    match: event == "%s"
    run: printf '%%s %%s %%s\n' "$KEY" "$HOOK_JOB" "$HOOK_ATTEMPT" >> '%s'
    env: {KEY: "${{ delivery.key }}"}
    retry: {attempts: 100, initial: 0s, jitter: none}
`, o.provider, secret, api, sendertest.Token, target, way, o.event, ledger)
}

func key(n int) string { return fmt.Sprintf("evt-%03d", n) }

// sent is delivery number n as the sender's API has it.
func (o outage) sent(hook, n int, at time.Time) sendertest.Sent {
	event := o.event
	if o.provider == "gitlab" {
		event = "Push Hook"
	}
	return sendertest.Sent{Hook: hook, GUID: key(n), Event: event, Status: 502, At: at, Body: fmt.Appendf(nil, o.body, n)}
}

// outages is every sender, on every store.
func outages(t *testing.T, run func(t *testing.T, o outage, missed int, database bool)) {
	const nobody = "https://nobody.example.com/site"
	polled, paid := githubOutage, stripeOutage
	polled.pull, paid.pull = "{poll: 10s, address: '"+nobody+"'}", "{poll: 10s}"
	for name, one := range map[string]struct {
		outage
		missed   int
		database bool
	}{
		"GitHub": {githubOutage, 500, false}, "GitLab": {gitlabOutage, 500, false}, "Stripe": {stripeOutage, 500, false},
		"GitHub, database": {githubOutage, 120, true}, "GitHub polled, database": {polled, 120, true}, "Stripe polled, database": {paid, 120, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, one.outage, one.missed, one.database)
		})
	}
}

// age makes what a dead daemon wrote of when it listened an hour older.
func age(t *testing.T, dir, url string) {
	t.Helper()
	if url != "" {
		db, err := pgx.Connect(t.Context(), url)
		must(t, err)
		_, err = db.Exec(t.Context(), "UPDATE listened SET since = since - interval '1 hour', until = until - interval '1 hour'")
		must(t, errors.Join(err, db.Close(t.Context())))
		return
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "t.db"))
	must(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE listened SET since = since - 3600000000, until = until - 3600000000")
	must(t, errors.Join(err, db.Close()))
}

// crashAt runs the daemon until it has passed a point so many times, where it ends as by SIGKILL.
func crashAt(t *testing.T, dir string, point crashpoint.Point, times int) {
	t.Helper()
	cmd := exec.Command(buildCrashing(t), "serve", "-c", filepath.Join(dir, "hooks.yaml"), "--log-format", "json")
	cmd.Env = []string{fmt.Sprintf("TENTERHOOK_CRASH=%s:%d", point, times)}
	p := spawn(t, dir, cmd)
	select {
	case err := <-p.exit:
		p.exit <- nil
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("daemon ended with %v instead of a crash at %s\n%s", err, point, p.log)
		}
	case <-time.After(time.Minute):
		p.kill()
		t.Fatalf("%s was not reached\n%s", point, p.log)
	}
}

// TestCatchup_WhatWasSentToADeadDaemonRunsOnce is the story of a daemon that was killed, and came back
// an hour later: its sender has sent 500 deliveries meanwhile, one of them twice, its clock is another, and
// it limits who asks. The daemon is killed again and again while it takes them in.
func TestCatchup_WhatWasSentToADeadDaemonRunsOnce(t *testing.T) {
	t.Parallel()
	outages(t, func(t *testing.T, o outage, missed int, database bool) {
		const ahead = 7 * time.Minute // the sender's clock
		server := o.server()
		defer server.Close()
		server.Dated = true
		server.Ahead(ahead)
		ledger := filepath.Join(shortDir(t), "ledger")
		write(t, ledger, "")
		dir, url := shortDir(t), ""
		if database {
			url = postgrestest.Schema(t)
			dir = onPostgres(t, url, "node: {name: a, lease: 2s}\n"+o.hooks(ledger, server.URL))
		} else {
			write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+o.hooks(ledger, server.URL))
		}
		file := filepath.Join(dir, "hooks.yaml")
		write(t, file, strings.Replace(read(t, file), "drain: 10s", "drain: 10s, public_url: 'https://hooks.example.com'", 1))
		address := "https://hooks.example.com/site"
		if o.pull != "" {
			address = "https://nobody.example.com/site"
		}
		hook := server.Add(sendertest.Hook{URL: address, Events: []string{o.event}, Active: true})

		p := launch(t, dir)
		arrived := fmt.Sprintf(o.body, 0)
		if o.provider == "stripe" {
			arrived = fmt.Sprintf(`{"id":"%s","object":"event","type":"%s","created":%d,"data":{"object":%s}}`, key(0), o.event, time.Now().Unix(), arrived)
		}
		a, err := send("POST", p.url+"/site", arrived, o.header(key(0), arrived))
		must(t, err)
		if a.status != http.StatusAccepted {
			t.Fatalf("answer %d %s", a.status, a.body)
		}
		eventually(t, "its run", func() bool { return strings.Contains(read(t, ledger), key(0)) })
		p.kill()
		age(t, dir, url)
		died := time.Now().Add(-time.Hour + ahead)
		for n := range missed + 1 { // number 0 had arrived
			server.Send(o.sent(hook, n, died.Add(time.Hour*time.Duration(n)/time.Duration(missed+1))))
		}
		if o.provider != "stripe" {
			server.Send(o.sent(hook, missed, time.Now().Add(ahead)))
		}

		kills, left := 4, missed
		for range kills {
			server.Refuse(
				sendertest.Refusal{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0"}}},
				sendertest.Refusal{Status: http.StatusBadGateway, Header: http.Header{"Retry-After": {"0"}}},
			)
			n := 1 + rand.IntN(missed/kills)
			crashAt(t, dir, crashpoint.MidCatchup, n)
			left -= n
		}
		p = launch(t, dir)
		defer p.kill()
		within(t, 2*time.Minute, "all to have run", func() bool { return len(runsOf(t, ledger)) > missed })
		client := admin.NewClient("unix:"+dir+"/admin.sock", "")
		within(t, time.Minute, "no job to be left", func() bool {
			s, err := client.Status(t.Context())
			return err == nil && total(s.Jobs) == 0
		})
		o.check(t, client, ledger, missed)
		server.Requests()
		caught, err := client.CatchUp(t.Context(), "site", "2h")
		must(t, err)
		if caught.Taken != 0 || caught.Known != missed+1 || caught.Lost != 0 || caught.More {
			t.Errorf("once more: %+v", caught)
		}
		if asked := server.Requests(); len(asked) > 30 { // pages, and no payload
			t.Errorf("%d requests, the last %s", len(asked), asked[len(asked)-1])
		}
		if strings.Contains(p.log.String(), sendertest.Token) || strings.Contains(p.log.String(), secret) {
			t.Error("the log has a secret")
		}
		t.Logf("%d deliveries, %d kills, the last start found %d", missed, kills, left)
	})
}

// runsOf are the jobs that ran by their deliveries' keys.
func runsOf(t *testing.T, ledger string) map[string][]string {
	t.Helper()
	jobs, lines := map[string][]string{}, map[string]bool{}
	for line := range strings.Lines(read(t, ledger)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue // it is being written
		}
		if lines[line] {
			t.Errorf("an attempt began twice: %s", line)
		}
		lines[line] = true
		if !slices.Contains(jobs[words[0]], words[1]) {
			jobs[words[0]] = append(jobs[words[0]], words[1])
		}
	}
	return jobs
}

// check holds what ran, and what is stored, against what was sent.
func (o outage) check(t *testing.T, client *admin.Client, ledger string, missed int) {
	t.Helper()
	jobs := runsOf(t, ledger)
	for n := range missed + 1 {
		if len(jobs[key(n)]) != 1 {
			t.Errorf("%s ran as %d jobs", key(n), len(jobs[key(n)]))
		}
	}
	if len(jobs) != missed+1 {
		t.Errorf("%d deliveries ran, not %d", len(jobs), missed+1)
	}
	origin := "catchup"
	if o.pull != "" {
		origin = "pull"
	}
	var order []string
	f := store.Filter{Hook: "site", Limit: 200}
	for {
		page, next, err := client.Deliveries(t.Context(), f)
		must(t, err)
		for _, d := range page {
			order = append(order, d.Key)
			if d.Key != key(0) && d.Origin != origin {
				t.Errorf("delivery %+v", d)
			}
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	slices.Reverse(order)
	if len(order) != missed+1 || !slices.IsSorted(order) {
		t.Errorf("%d deliveries, not in the order that they were sent in: %q", len(order), order)
	}
}

// reportHooks tell GitHub of jobs by status and deployment.
func reportHooks(dir, api string) string {
	all := reportHook(dir, "github", api, "[github-status, {to: github-deployment, environment: staging}]")
	return all[strings.Index(all, "hooks:"):]
}

// TestReport_ACrashBeforeOrAfterTheWordIsSaid, at each of the words about two jobs, and while a deployment
// is being made: the last word is the job's end, no word goes back, each job has one deployment.
func TestReport_ACrashBeforeOrAfterTheWordIsSaid(t *testing.T) {
	t.Parallel()
	for _, database := range []bool{false, true} {
		for _, point := range []crashpoint.Point{crashpoint.BeforeTold, crashpoint.AfterTold} {
			t.Run(fmt.Sprintf("%s, database %v", point, database), func(t *testing.T) {
				t.Parallel()
				server := sendertest.GitHub()
				defer server.Close()
				dir := shortDir(t)
				if database {
					dir = onPostgres(t, postgrestest.Schema(t), "")
					write(t, filepath.Join(dir, "hooks.yaml"), read(t, filepath.Join(dir, "hooks.yaml"))+"node: {name: a, lease: 2s}\n"+reportHooks(dir, server.URL))
				} else {
					write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+reportHooks(dir, server.URL))
				}
				letGo(t, dir)
				p := launch(t, dir)
				server.Down(true) // nothing can be told yet
				jobs := map[string]bool{}
				for n := range 2 {
					body := pushBody(n)
					a, err := send("POST", p.url+"/site", body, githubOutage.header(key(n), body))
					must(t, err)
					jobs[a.json.Jobs[0]] = true
				}
				client := admin.NewClient("unix:"+dir+"/admin.sock", "")
				eventually(t, "the ends of the jobs", func() bool {
					s, err := client.Status(t.Context())
					return err == nil && total(s.Jobs) == 0
				})
				p.kill() // between the end of the jobs and the word about it
				server.Down(false)
				for n := range 3 {
					crashAt(t, dir, point, 1+n%2)
				}
				p = launch(t, dir)
				defer p.kill()
				within(t, time.Minute, "everything to be told", func() bool {
					for id := range jobs {
						j, err := client.Job(t.Context(), id)
						if err != nil || len(j.Reports) != 2 || j.Reports[0].Open || j.Reports[1].Open {
							return false
						}
					}
					return true
				})
				ends := map[string]int{}
				for _, told := range server.Told() {
					if told.State != "success" && told.State != "failure" {
						t.Errorf("told %+v", told)
					}
					if told.Of != commit {
						ends[told.Of+" "+told.State]++
					}
				}
				if server.Deployments() != 2 || len(ends) != 2 {
					t.Errorf("%d deployments, told %v", server.Deployments(), ends)
				}
			})
		}
	}
}

// TestReport_ADaemonThatDiesWhileGitHubMakesTheDeploymentFindsIt, instead of making another.
func TestReport_ADaemonThatDiesWhileGitHubMakesTheDeploymentFindsIt(t *testing.T) {
	t.Parallel()
	server := sendertest.GitHub()
	defer server.Close()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+reportHooks(dir, server.URL))
	letGo(t, dir)
	p := launch(t, dir)
	killed := make(chan struct{})
	server.OnAnswer(func(r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/deployments") {
			p.kill() // it is made, and nobody hears its id
			close(killed)
		}
	})
	body := pushBody(0)
	_, err := send("POST", p.url+"/site", body, githubOutage.header(key(0), body))
	must(t, err)
	<-killed
	server.OnAnswer(nil)
	p = launch(t, dir)
	defer p.kill()
	eventually(t, "its end", func() bool {
		return slices.ContainsFunc(server.Told(), func(told sendertest.Told) bool { return told.Of != commit && told.State == "success" })
	})
	if n := server.Deployments(); n != 1 {
		t.Errorf("%d deployments", n)
	}
}
