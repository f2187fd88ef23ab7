package provider

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tenterhook/tenterhook/internal/request"
)

func payload(t *testing.T, body []byte) any {
	t.Helper()
	p, err := request.Decode(request.FormatJSON, "", body)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGit_OfTheSamples(t *testing.T) {
	for _, tt := range []struct {
		preset, sample string
		want           facts
	}{
		{"github", "push", facts{Branch: "main", Repo: "Codertocat/Hello-World", SHA: "ec26c3e57ca3a959ca5aad62de7213c562f8c821", Actor: "Codertocat", ChangedFiles: []string{"README.md", "docs/guide.md"}}},
		{"github", "push-tag-deleted", facts{Tag: "simple-tag", Repo: "Codertocat/Hello-World", SHA: "0000000000000000000000000000000000000000", Actor: "Codertocat"}},
		{"github", "ping", facts{Repo: "Octocoders/Hello-World", Actor: "Codertocat"}},
		{"gitlab", "push", facts{Branch: "master", Repo: "mike/diaspora", SHA: "da1560886d4f094c3e6c9ef40349f7d38b5d27d7", Actor: "John Smith", ChangedFiles: []string{"CHANGELOG", "app/controller/application.rb"}}},
		{"gitlab", "tag_push", facts{Tag: "v1.0.0", Repo: "jsmith/example", SHA: "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7", Actor: "John Smith"}},
		{"gogs", "push", facts{Branch: "develop", Repo: "unknwon/webhooks", SHA: "bffeb74224043ba2feb48d137756c8a9331c449a", Actor: "unknwon"}},
		{"bitbucket-cloud", "repo:push", facts{Branch: "name-of-branch", Repo: "team_name/repo_name", SHA: "709d658dc5b6d6afcd46049c2f332ee3f515a67d", Actor: "emmap1"}},
		{"bitbucket-server", "repo:refs_changed", facts{Branch: "feature/wip", Repo: "~gopher/webhook-test", SHA: "0000000000000000000000000000000000000000", Actor: "gopher"}},
		{"azure-devops", "git.push", facts{Branch: "main", Repo: "Fabrikam-Fiber-Git/Fabrikam-Fiber-Git", SHA: "33b55f7cb7e7e245323987634f960cf4a6e6bc74", Actor: `Windows Live ID\fabrikamfiber4@hotmail.com`}},
		{"gitea", "push", facts{Branch: "master", Repo: "example/example", SHA: "67b56589a45103f891bdee7c0546e5d40bc02001", Actor: "example", ChangedFiles: []string{"example"}}},
	} {
		t.Run(tt.preset+"/"+tt.sample, func(t *testing.T) {
			p := lookup(t, tt.preset)
			for _, s := range p.Samples {
				if s.Name == tt.sample {
					got := factsOf(p.Git(s.Event, payload(t, s.Body)))
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Error(diff)
					}
					return
				}
			}
			t.Fatal("there is no such sample")
		})
	}
}

func TestGit_OfHandMadePayloads(t *testing.T) {
	for _, tt := range []struct {
		name, preset, event, body string
		want                      facts
	}{
		{"branch names keep their slashes", "github", "push", `{"ref":"refs/heads/feature/refs/heads/x"}`, facts{Branch: "feature/refs/heads/x"}},
		{"other refs are neither", "github", "push", `{"ref":"refs/notes/commits","after":"a"}`, facts{SHA: "a"}},
		{"a ref of another event is no push", "github", "create", `{"ref":"refs/heads/x","after":"a","sender":{"login":"m"}}`, facts{Actor: "m"}},
		{"what is not text is left out", "github", "push", hostile[7], facts{ChangedFiles: []string{"a", "b"}}},
		{"no payload", "gitlab", "push", `null`, facts{}},
		{"login before name", "gitlab", "push", `{"user_name":"John Smith","user_username":"jsmith"}`, facts{Actor: "jsmith"}},
		{"merge request", "gitlab", "merge_request", `{"user":{"name":"A","username":"root"},"project":{"path_with_namespace":"g/s/p"}}`, facts{Repo: "g/s/p", Actor: "root"}},
		{"pusher where there is no sender", "gitea", "push", `{"pusher":{"login":"m"}}`, facts{Actor: "m"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			readsEnough(t, lookup(t, tt.preset), tt.event, []byte(tt.body))
			got := factsOf(lookup(t, tt.preset).Git(tt.event, payload(t, []byte(tt.body))))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGit_CommitsHaveTheSameWordsEverywhere(t *testing.T) {
	for preset, want := range map[string]map[string]any{
		"github":          {"id": "ec26c3e57ca3a959ca5aad62de7213c562f8c821", "author": "Codertocat"},
		"gitlab":          {"id": "b6568db1bc1dcd7f8b4d5a946b0b91f9dacd7327", "author": "Jordi Mallach"},
		"gitea":           {"id": "67b56589a45103f891bdee7c0546e5d40bc02001", "author": "example"},
		"gogs":            {"id": "bffeb74224043ba2feb48d137756c8a9331c449a", "author": "unknwon"},
		"bitbucket-cloud": {"id": "03f4a7270240708834de475bcf21532d6134777e"},
		"azure-devops":    {"id": "33b55f7cb7e7e245323987634f960cf4a6e6bc74", "author": "Jamal Hartnett"},
	} {
		p := lookup(t, preset)
		git := p.Git(p.Samples[0].Event, payload(t, p.Samples[0].Body))
		commits := git.Commits()
		if len(commits) == 0 {
			t.Errorf("%s: no commits", preset)
			continue
		}
		got := commits[0].(map[string]any)
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %v, want %v", preset, name, got[name], value)
			}
		}
		if got["message"] == "" {
			t.Errorf("%s: no message", preset)
		}
	}
}

// facts is a Git for comparison, without its commits: see TestGit_CommitsHaveTheSameWordsEverywhere.
type facts struct {
	Branch, Tag, Repo, SHA, Actor string
	ChangedFiles                  []string
}

// part is of a payload what a list of paths names.
func part(t *testing.T, body []byte, paths ...string) any {
	t.Helper()
	fields := request.Fields{}
	for _, path := range paths {
		fields = fields.With(strings.Split(path, ".")...)
	}
	p, err := (&request.Request{Format: request.FormatJSON, Body: body}).Part(&fields)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// readsEnough holds a preset to finding the same where there is no more than it says it reads.
func readsEnough(t *testing.T, p *Preset, event string, body []byte) {
	t.Helper()
	want, got := p.Git(event, payload(t, body)), p.Git(event, part(t, body, p.GitReads...))
	got.pushedCommits, got.commits = want.pushedCommits, want.commits
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s with what GitReads names finds %+v instead of %+v", p.Name, got, want)
	}
	all := p.Git(event, part(t, body, slices.Concat(p.GitReads, p.CommitReads)...))
	if !reflect.DeepEqual(want.ChangedFiles(), all.ChangedFiles()) || !reflect.DeepEqual(want.Commits(), all.Commits()) {
		t.Errorf("%s with what CommitReads names finds %v instead of %v", p.Name, all.Commits(), want.Commits())
	}
}

func TestGit_ReadsNoMoreThanItSays(t *testing.T) {
	for _, name := range Names() {
		p := lookup(t, name)
		for _, s := range p.Samples {
			if p.Git != nil && s.ContentType == contentJSON {
				readsEnough(t, p, s.Event, s.Body)
			}
		}
	}
}

func factsOf(g Git) facts {
	return facts{g.Branch, g.Tag, g.Repo, g.SHA, g.Actor, g.ChangedFiles()}
}
