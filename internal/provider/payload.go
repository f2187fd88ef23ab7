package provider

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
)

// at is the value at a path of names such as repository.full_name, and of places in lists, or nil. Every payload is
// hostile until read: whatever is of another type than expected is as good as missing.
func at(payload any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch within := payload.(type) {
		case map[string]any:
			payload = within[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(within) {
				return nil
			}
			payload = within[i]
		default:
			return nil
		}
	}
	return payload
}

// text is the text or whole number at a path, or "".
func text(payload any, path string) string {
	switch v := at(payload, path).(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case request.Number:
		return string(v)
	}
	return ""
}

// Git is what the payloads of the Git hosts have in common. Repo and Actor are filled for every
// event that names them; Branch, Tag, SHA and the rest for pushes only. What a payload does not
// say is "" or nil.
type Git struct {
	Branch string // pushed to: main of refs/heads/main
	Tag    string // pushed: v1.0 of refs/tags/v1.0
	Repo   string // with its owner or group: octo-org/site
	SHA    string // the commit the branch or tag is at now; all zeros when it was deleted
	Actor  string // who did it, by login name

	pushedCommits []any // of the payload; read when they are asked for
	commits       []any // in our words
}

// ChangedFiles are those added, modified or removed by the listed commits; sorted, each once.
// Most rules ask only for the branch, therefore they are made on demand.
func (g *Git) ChangedFiles() (names []string) {
	for _, commit := range g.pushedCommits {
		for _, how := range []string{"added", "modified", "removed"} {
			files, _ := at(commit, how).([]any)
			for _, file := range files {
				if name, ok := file.(string); ok {
					names = append(names, name)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Commits are the listed ones, each a mapping of id, message, author, added, modified and
// removed, whatever the host calls them.
func (g *Git) Commits() []any {
	if g.commits == nil {
		for _, commit := range g.pushedCommits {
			if _, ok := commit.(map[string]any); ok {
				g.commit(text(commit, "id"), text(commit, "message"), first(commit, "author.username", "author.name"), commit)
			}
		}
	}
	return g.commits
}

// pushed fills in what the hosts agree on: ref, after, and the files of the commits.
func (g *Git) pushed(payload any) {
	ref := text(payload, "ref")
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		g.Branch = branch
	}
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		g.Tag = tag
	}
	g.SHA = text(payload, "after")
	g.pushedCommits, _ = at(payload, "commits").([]any)
}

// maxCommits bounds what is taken from a payload: GitHub lists 2048 at most.
const maxCommits = 2048

// commit adds one; files is the host's own commit, where the lists of files are.
func (g *Git) commit(id, message, author string, files any) {
	if len(g.commits) >= maxCommits {
		return
	}
	one := map[string]any{"id": id, "message": message, "author": author}
	for _, how := range []string{"added", "modified", "removed"} {
		names := []any{}
		list, _ := at(files, how).([]any)
		for _, file := range list {
			if name, ok := file.(string); ok {
				names = append(names, name)
			}
		}
		one[how] = names
	}
	g.commits = append(g.commits, one)
}

// first is the first text found at one of the paths.
func first(payload any, paths ...string) string {
	for _, path := range paths {
		if value := text(payload, path); value != "" {
			return value
		}
	}
	return ""
}
