package provider

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
)

// at is the value at a path of names such as repository.full_name, or nil. Every payload is
// hostile until read: whatever is of another type than expected is as good as missing.
func at(payload any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, ok := payload.(map[string]any)
		if !ok {
			return nil
		}
		payload = object[name]
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
// event that names them; Branch, Tag, SHA and ChangedFiles for pushes only. What a payload does
// not say is "" or nil.
type Git struct {
	Branch       string   // pushed to: main of refs/heads/main
	Tag          string   // pushed: v1.0 of refs/tags/v1.0
	Repo         string   // with its owner or group: octo-org/site
	SHA          string   // the commit the branch or tag is at now; all zeros when it was deleted
	Actor        string   // who did it, by login name
	ChangedFiles []string // added, modified or removed by the listed commits; sorted, each once
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
	commits, _ := at(payload, "commits").([]any)
	for _, commit := range commits {
		for _, how := range []string{"added", "modified", "removed"} {
			files, _ := at(commit, how).([]any)
			for _, file := range files {
				if name, ok := file.(string); ok {
					g.ChangedFiles = append(g.ChangedFiles, name)
				}
			}
		}
	}
	slices.Sort(g.ChangedFiles)
	g.ChangedFiles = slices.Compact(g.ChangedFiles)
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
