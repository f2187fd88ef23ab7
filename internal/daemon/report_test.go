package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
)

const commit = "6dcb09b5b57875f334f61aebed695e2e4193db5e"

// reportHook tells the sender what becomes of its jobs, which wait for a file.
func reportHook(dir, provider, api, report string) string {
	return header(dir) + fmt.Sprintf(`
hooks:
  - name: site
    path: /site
    provider: %s
    secret: %s
    api: {url: '%s', token: %s, target: acme/site}
    report: %s
    run: while [ ! -e '%s/go' ]; do sleep 0.05; done; exit "$CODE"
    env: {CODE: "${{ payload.code }}"}
`, provider, secret, api, sendertest.Token, report, dir)
}

func pushBody(code int) string {
	return fmt.Sprintf(`{"ref":"refs/heads/main","before":"%[2]s","after":"%[2]s","code":%[1]d,"repository":{"full_name":"acme/site","name":"site"},"commits":[]}`, code, commit)
}

func states(told []sendertest.Told) (all []string) {
	for _, t := range told {
		all = append(all, t.State)
	}
	return all
}

func letGo(t *testing.T, dir string) { write(t, filepath.Join(dir, "go"), "") }

// TestReport_GitHubIsToldInOrderAndOnce over failures, limits and a kill: the last word is the job's end.
func TestReport_GitHubIsToldInOrderAndOnce(t *testing.T) {
	t.Parallel()
	server := sendertest.GitHub()
	defer server.Close()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), reportHook(dir, "github", server.URL, "[github-status, {to: github-deployment, environment: staging, target_url: 'https://ops.example.com/jobs/${{ job.id }}'}]"))
	server.Refuse(
		sendertest.Refusal{Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"3"}}, Body: `{"message":"You have exceeded a secondary rate limit"}`},
		sendertest.Refusal{Status: http.StatusBadGateway},
	)
	p := launch(t, dir)
	a, err := send("POST", p.url+"/site", pushBody(0), map[string]string{
		"X-Hub-Signature-256": sign(secret, pushBody(0)), "X-GitHub-Delivery": "1", "X-GitHub-Event": "push", "Content-Type": "application/json",
	})
	must(t, err)
	if a.status != 202 {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	within(t, time.Minute, "the deployment in progress", func() bool { return slices.Contains(states(server.Told()), "in_progress") })
	p.kill() // the job is cut off, and what is to be told of it is on disk
	letGo(t, dir)
	p = launch(t, dir)
	defer p.kill()
	within(t, time.Minute, "both ends", func() bool {
		all := states(server.Told())
		return len(all) >= 3 && strings.Count(strings.Join(all, " "), "error") == 2
	})
	var status, deployment []string
	for _, one := range server.Told() {
		if one.Of == commit {
			status = append(status, one.State)
			if one.Context != "tenterhook/site" {
				t.Errorf("status %+v", one)
			}
			continue
		}
		deployment = append(deployment, one.State)
		if one.Context != "staging" || one.URL != "https://ops.example.com/jobs/"+a.json.Jobs[0] {
			t.Errorf("deployment %+v", one)
		}
	}
	if got := status[len(status)-1]; got != "error" || len(status) > 2 {
		t.Errorf("statuses %q", status)
	}
	if deployment[len(deployment)-1] != "error" || server.Deployments() != 1 {
		t.Errorf("%d deployments, %q", server.Deployments(), deployment)
	}
	client := admin.NewClient("unix:"+dir+"/admin.sock", "")
	within(t, 20*time.Second, "what is shown", func() bool {
		j, err := client.Job(t.Context(), a.json.Jobs[0])
		return err == nil && len(j.Reports) == 2 && j.Reports[0].Reached == "interrupted" && !j.Reports[0].Open && j.Reports[1].Remote != "" && j.Reports[1].Error == ""
	})
	if log := p.log.String(); strings.Contains(log, sendertest.Token) || strings.Contains(log, secret) {
		t.Error("the log has a secret")
	}
}

// TestReport_EachSenderInItsOwnWords: GitHub, GitLab and Gitea.
func TestReport_EachSenderInItsOwnWords(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		provider, report string
		server           func() *sendertest.Server
		header           map[string]string
		body             string
		want             []string
	}{
		{"github", "github-status", sendertest.GitHub, map[string]string{"X-GitHub-Event": "push", "X-GitHub-Delivery": "1"}, pushBody(1), []string{"pending", "failure"}},
		{"gitlab", "gitlab-status", sendertest.GitLab, map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret}, fmt.Sprintf(`{"object_kind":"push","code":1,"ref":"refs/heads/main","after":"%s","checkout_sha":"%s","project":{"path_with_namespace":"acme/site"}}`, commit, commit), []string{"running", "failed"}},
		{"gitea", "gitea-status", sendertest.Gitea, map[string]string{"X-Gitea-Event": "push", "X-Gitea-Delivery": "1"}, pushBody(0), []string{"pending", "success"}},
	} {
		t.Run(one.provider, func(t *testing.T) {
			t.Parallel()
			server := one.server()
			defer server.Close()
			dir := shortDir(t)
			write(t, filepath.Join(dir, "hooks.yaml"), reportHook(dir, one.provider, server.URL, one.report))
			r := startIn(t, dir)
			head := map[string]string{
				"Content-Type": "application/json", "X-Hub-Signature-256": sign(secret, one.body),
				"X-Gitea-Signature": strings.TrimPrefix(sign(secret, one.body), "sha256="),
			}
			for k, v := range one.header {
				head[k] = v
			}
			if a := r.send("POST", "/site", one.body, head); a.status != 202 {
				t.Fatalf("answer %d %s", a.status, a.body)
			}
			r.eventually("the first word", func() bool { return slices.Contains(states(server.Told()), one.want[0]) })
			letGo(t, dir)
			r.eventually("the last word", func() bool { return slices.Contains(states(server.Told()), one.want[1]) })
			for _, told := range server.Told() {
				if told.Of != commit || told.Context != "tenterhook/site" {
					t.Errorf("told %+v", told)
				}
			}
			if all := states(server.Told()); all[len(all)-1] != one.want[1] || strings.Count(strings.Join(all, " "), one.want[1]) != 1 {
				t.Errorf("told %q", all)
			}
		})
	}
}

// TestReport_NeverOfWhatIsNotTheHooks: a delivery cannot make the token write elsewhere, and what will
// never be taken is given up and shown; the jobs run all the same.
func TestReport_NeverOfWhatIsNotTheHooks(t *testing.T) {
	t.Parallel()
	server := sendertest.GitHub()
	defer server.Close()
	dir := shortDir(t)
	letGo(t, dir)
	write(t, filepath.Join(dir, "hooks.yaml"), reportHook(dir, "github", server.URL, "github-status"))
	r := startIn(t, dir)
	for n, body := range []string{
		strings.Replace(pushBody(0), "acme/site", "victim/repo", 1),
		strings.Replace(pushBody(0), "acme/site", "acme/../../user", 1),
		strings.ReplaceAll(pushBody(0), commit, "../../../gists"),
		strings.ReplaceAll(pushBody(0), commit, "deadb0b5b57875f334f61aebed695e2e4193db5e"),
		`{"code": 0}`,
	} {
		a := r.push("/site", fmt.Sprint(n), "push", body)
		if j := r.job(a.json.Jobs[0]); j.State != "succeeded" {
			t.Errorf("%d: %s", n, j.State)
		}
		r.eventually("it to be given up", func() bool {
			j, err := r.client.Job(t.Context(), a.json.Jobs[0])
			must(t, err)
			return len(j.Reports) == 1 && !j.Reports[0].Open && j.Reports[0].Error != ""
		})
	}
	for _, asked := range server.Requests() {
		if !strings.HasPrefix(asked, "POST /repos/acme/site/statuses/dead") {
			t.Errorf("asked for %s", asked)
		}
	}
	if len(server.Told()) != 0 {
		t.Errorf("told %+v", server.Told())
	}
	_ = os.Remove(filepath.Join(dir, "go"))
}
