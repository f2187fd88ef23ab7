package daemon_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// storedHook is a configuration to push: its command says a word.
func storedHook(word string) string {
	return "defaults: {timeout: 1m}\nhooks:\n  - {name: site, path: /site, provider: github, secret: '${file:key}', run: echo " + word + "}\n" +
		"tests:\n  - {name: it runs, hook: site, request: {headers: {X-GitHub-Event: push}, body: '{}'}, expect: {rules: [site]}}\n"
}

// fromStore starts a node whose configuration comes from the store; its key is its own.
func fromStore(t *testing.T, url, name, key string) *running {
	t.Helper()
	dir := onPostgres(t, url, "node: {name: "+name+", lease: 4s}\nconfig: {from: store}\n")
	write(t, filepath.Join(dir, "key"), key)
	return startIn(t, dir)
}

func (r *running) refusedPush(q admin.PushRequest) string {
	r.t.Helper()
	_, err := r.client.Push(r.t.Context(), q)
	var refused *admin.Problem
	if !errors.As(err, &refused) || refused.Status != http.StatusUnprocessableEntity {
		r.t.Fatalf("the push came to %v", err)
	}
	text := refused.Detail
	for _, p := range refused.Problems {
		text += "\n" + p.File + ": " + p.Message + " | " + p.Source
	}
	return text
}

func TestStored_AConfigurationIsPushedToAllNodesAndBack(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	a, b := fromStore(t, url, "a", secret), fromStore(t, url, "b", secret)
	if no := b.push("/site", "d0", "push", "{}"); no.status != http.StatusNotFound {
		t.Errorf("before the first push the answer is %d", no.status)
	}
	first, err := a.client.Push(t.Context(), admin.PushRequest{Name: "hooks.yaml", Content: storedHook("one"), Message: "the first"})
	if err != nil || first.Version != 1 || !first.Changed {
		t.Fatalf("pushed %+v: %v", first, err)
	}
	says := func(r *running, word string) {
		t.Helper()
		n := 0
		r.eventually("it to run "+word, func() bool {
			n++
			sent := r.push("/site", word+r.dir+strings.Repeat("x", n), "push", "{}")
			if len(sent.json.Jobs) != 1 {
				return false
			}
			j := r.job(sent.json.Jobs[0])
			return j.State == job.Succeeded && j.Attempts[0].Output == word+"\n"
		})
	}
	says(a, "one")
	says(b, "one")
	if one, other := a.status().Config.Digest, b.status().Config.Digest; one != first.Digest || other != first.Digest {
		t.Errorf("the nodes run %s and %s of %s", one, other, first.Digest)
	}

	for what, content := range map[string]string{
		"secret is written out":            strings.Replace(storedHook("bad"), "'${file:key}'", "a-literal-secret-of-some-length", 1),
		"server stays in the file of each": "server: {drain: 1s}\n" + storedHook("bad"),
		"unknown key \"rnu\"":              strings.Replace(storedHook("bad"), "run: echo", "rnu: echo", 1),
		"test \"it runs\" failed":          strings.Replace(storedHook("bad"), "rules: [site]", "rules: []", 1),
	} {
		said := b.refusedPush(admin.PushRequest{Name: "new.yaml", Content: content})
		if !strings.Contains(said, what) || !strings.Contains(said, "new.yaml") || strings.Contains(said, "a-literal-secret") {
			t.Errorf("%s is refused with %s", what, said)
		}
	}
	if dry, err := b.client.Push(t.Context(), admin.PushRequest{Content: storedHook("two"), DryRun: true}); err != nil || !dry.Changed {
		t.Errorf("a dry run came to %+v: %v", dry, err)
	}
	if _, err := b.client.Push(t.Context(), admin.PushRequest{Content: storedHook("two"), Message: "the second"}); err != nil {
		t.Fatal(err)
	}
	says(a, "two")
	back, err := a.client.Push(t.Context(), admin.PushRequest{Version: 1})
	if err != nil || back.Version != 3 || back.Digest != first.Digest || back.Message != "back to version 1" {
		t.Errorf("the way back is %+v: %v", back, err)
	}
	says(b, "one")
	list, err := b.client.Configurations(t.Context())
	if err != nil || len(list) != 3 || list[1].Message != "the second" || list[1].Content != "" {
		t.Errorf("the versions are %+v: %v", list, err)
	}
	second, err := b.client.Configuration(t.Context(), 2)
	if err != nil || second.Content != storedHook("two") {
		t.Errorf("version 2 is %+v: %v", second, err)
	}
}

func TestStored_ANodeThatCannotTakeItUpKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	a, b := fromStore(t, url, "a", secret), fromStore(t, url, "b", secret)
	push := func(content string) {
		t.Helper()
		_, err := a.client.Push(t.Context(), admin.PushRequest{Content: content})
		must(t, err)
	}
	push(storedHook("one"))
	b.eventually("the first version", func() bool { return b.status().Hooks == 1 })
	must(t, os.WriteFile(filepath.Join(a.dir, "other"), []byte("of-node-a-alone-and-long-enough"), 0o600))
	push(strings.Replace(storedHook("two"), "file:key", "file:other", 1))
	b.eventually("the problem to be known", func() bool {
		s := b.status()
		return !s.Config.LastReloadOK && len(s.Config.Problems) > 0 && strings.HasPrefix(s.Config.Problems[0].File, "version-2")
	})
	a.eventually("the difference to be seen", func() bool {
		nodes, err := a.client.Nodes(t.Context())
		return err == nil && len(nodes) == 2 && nodes[0].Differs != nodes[1].Differs
	})
	if sent := b.push("/site", "d1", "push", "{}"); sent.status != http.StatusAccepted {
		t.Errorf("the node answers %d %s", sent.status, sent.body)
	}
	must(t, b.stop())
	must(t, os.WriteFile(filepath.Join(b.dir, "other"), []byte("of-node-b-alone-and-long-enough"), 0o600))
	again := startIn(t, b.dir)
	if s := again.status(); s.Config.Digest != a.status().Config.Digest || s.Hooks != 1 {
		t.Errorf("started anew it runs %+v", s.Config)
	}
}
