package hook

import (
	"fmt"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/sender"
)

// Report says that the sender is told what becomes of a rule's jobs.
type Report struct {
	To         string // github-status, …
	Deployment bool

	context, environment, target, sha, repo *expression.Template
}

type reportSpec struct {
	To          config.Text `yaml:"to,required" doc:"What is told, and to whom." oneof:"github-status github-deployment gitlab-status gitea-status"`
	Context     config.Text `yaml:"context" doc:"What the status is called there, a template." default:"tenterhook/HOOK/RULE"`
	Environment config.Text `yaml:"environment" doc:"Of a deployment, a template." default:"production"`
	TargetURL   config.Text `yaml:"target_url" doc:"Where the status leads, a template: https://ops.example.com/jobs/${{ job.id }}."`
	SHA         config.Text `yaml:"sha" doc:"The commit, a template." default:"that of the push, the pull request, the workflow run, …"`
	Repo        config.Text `yaml:"repo" doc:"The repository, a template." default:"the delivery's; one of api.target"`
}

// reportKinds are the words of to, with the API that each is for.
var reportKinds = map[string]string{"github-status": "github", "github-deployment": "github", "gitlab-status": "gitlab", "gitea-status": "gitea"}

var reportWords = []string{"github-status", "github-deployment", "gitlab-status", "gitea-status"}

// mostReports bounds what is told of one job.
const mostReports = 4

// compileReports reads report:, which is a word, a mapping, or a list of them.
func compileReports(r *Rule, node config.Node, scope expression.Scope, d *config.Diagnostics) {
	if node.IsZero() {
		return
	}
	nodes := []config.Node{node}
	if node.Kind() == config.KindList {
		nodes = node.List()
	}
	if len(nodes) > mostReports {
		d.Errorf(node, "report has at most %d entries, found %d", mostReports, len(nodes))
	}
	scope.Job = true
	for _, one := range nodes {
		var s reportSpec
		if one.Kind() == config.KindScalar {
			s.To = one.Text(d)
		} else if !one.Decode(&s, d) {
			continue
		}
		r.report(s, one, scope, d)
	}
}

func (r *Rule) report(s reportSpec, node config.Node, scope expression.Scope, d *config.Diagnostics) {
	kind, ok := reportKinds[s.To.Value]
	api := r.Hook.API
	switch {
	case s.To.Value == "":
		return // said already
	case !ok:
		suggest(d.Errorf(s.To, "unknown report %q", s.To.Value), s.To.Value, reportWords)
		return
	case api == nil || api.Kind.Name != kind:
		d.Errorf(s.To, "report: %s is for hooks with provider: %s", s.To.Value, kind)
		return
	case !api.Authorized():
		d.Errorf(s.To, "report wants api.token, which may write statuses").Hint("api: {token: ${%s}}", api.Kind.TokenEnv)
	case api.URL == "":
		d.Errorf(s.To, "report wants api.url: where the API is, nobody said")
	}
	out := &Report{To: s.To.Value, Deployment: strings.HasSuffix(s.To.Value, "-deployment")}
	if !out.Deployment && s.Environment.Value != "" {
		d.Errorf(s.Environment, "environment is for deployments")
	}
	if out.Deployment && s.Context.Value != "" {
		d.Errorf(s.Context, "context is for statuses: a deployment has an environment")
	}
	for _, one := range []struct {
		into **expression.Template
		text config.Text
	}{{&out.context, s.Context}, {&out.environment, s.Environment}, {&out.target, s.TargetURL}, {&out.sha, s.SHA}, {&out.repo, s.Repo}} {
		if one.text.Value != "" {
			*one.into = compileTemplate(one.text, scope, d)
		}
	}
	r.Reports = append(r.Reports, out)
}

// reported is what a job of the rule has of its reports.
func (r *Rule) reported() string {
	var names []string
	for _, p := range r.Reports {
		names = append(names, p.To)
	}
	return strings.Join(names, ",")
}

// Told is what a report says, and of which repository.
type Told struct {
	Repo   string
	Status sender.Status
}

// Tell renders a report of a job, but for its state. Nothing that a sender wrote decides whose token is
// used: where the hook has api.target, the repository is one of it.
func (r *Rule) Tell(p *Report, d *job.Delivery, j *job.Job) (t Told, err error) {
	in := r.storedInput(d)
	in.Job = &JobEnd{ID: j.ID, Attempt: j.Attempt, Error: j.Error, ExitCode: j.ExitCode}
	t.Status = sender.Status{Job: j.ID, Context: "tenterhook/" + r.Hook.Name + "/" + r.Name, Environment: "production"}
	if r.Name == r.Hook.Name {
		t.Status.Context = "tenterhook/" + r.Hook.Name
	}
	if in.Git != nil {
		facts := in.Git()
		t.Repo, t.Status.SHA = facts.Repo, facts.SHA
	}
	if payload, err := in.Request.Payload(); err == nil {
		if t.Status.SHA == "" {
			t.Status.SHA = commitOf(payload)
		}
		if id := at(payload, "deployment.id"); p.Deployment && in.Event == "deployment" && id != nil {
			t.Status.Remote = fmt.Sprint(id) // it is there already, and waits for somebody
		}
	}
	for _, one := range []struct {
		from *expression.Template
		into *string
	}{{p.context, &t.Status.Context}, {p.environment, &t.Status.Environment}, {p.target, &t.Status.URL}, {p.sha, &t.Status.SHA}, {p.repo, &t.Repo}} {
		if one.from == nil {
			continue
		}
		if *one.into, _, err = one.from.Text(in); err != nil {
			return t, err
		}
	}
	return t, nil
}

// commitOf finds the commit that an event is about.
func commitOf(payload any) string {
	for _, path := range []string{
		"pull_request.head.sha", "workflow_run.head_sha", "check_suite.head_sha", "check_run.head_sha", "deployment.sha", "head_commit.id",
		"checkout_sha", "object_attributes.last_commit.id", "object_attributes.sha", "commit.sha",
	} {
		if s, ok := at(payload, path).(string); ok && sender.IsSHA(s) {
			return s
		}
	}
	return ""
}

// at is what a dotted path leads to, nil for nowhere.
func at(payload any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		m, _ := payload.(map[string]any)
		payload = m[name]
	}
	return payload
}

// Allows reports whether the hook's token may be used for a repository, and what it is called.
func (a *API) Allows(repo string) (target string, ok bool) {
	if len(a.Targets) == 0 {
		return repo, true
	}
	for _, t := range a.Targets {
		owner, _, _ := strings.Cut(repo, "/")
		switch {
		case strings.EqualFold(t, repo), strings.EqualFold(t, owner): // an organization's hook
			return repo, true
		case strings.HasPrefix(t, "groups/") && inGroup(repo, strings.TrimPrefix(t, "groups/")):
			return repo, true
		case a.app != nil && strings.HasPrefix(t, "apps/"): // an App's own: where it is installed, it may write
			return repo, true
		case strings.Trim(t, "0123456789") == "" && len(a.Targets) == 1: // a GitLab project's number
			return t, true
		}
	}
	return "", false
}

// inGroup reports whether a project is in a group, or in one below it.
func inGroup(repo, group string) bool {
	return len(repo) > len(group) && repo[len(group)] == '/' && strings.EqualFold(repo[:len(group)], group)
}
