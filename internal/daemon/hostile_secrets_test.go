package daemon_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// canaries are secrets by where the configuration has them. Nothing but the file and what asks for
// one by name may hold any of them.
var canaries = map[string]string{
	"hook":    "canary-hook-0b1c2d3e4f5a6b7c",
	"second":  "canary-second-9f8e7d6c5b4a39",
	"header":  "canary-header-11aa22bb33cc44",
	"env":     "canary-env-55dd66ee77ff8899",
	"unused":  "canary-unused-aabbccddeeff00",
	"file":    "canary-file-1234567890abcdef",
	"unasked": "canary-unasked-fedcba098765",
}

// written are the forms in which a secret could be written down.
func written(secret string) []string {
	return []string{
		secret, base64.StdEncoding.EncodeToString([]byte(secret))[:20], hex.EncodeToString([]byte(secret)),
		strings.ToUpper(hex.EncodeToString([]byte(secret))), url.QueryEscape(secret + "/+")[:len(secret)],
	}
}

// TestSecrets_M1_AreNowhere puts a canary in every secret of a configuration, lets all that can go
// well and wrong happen, and looks for them in everything the daemon wrote, said or passed on.
// Unverified bodies are canaries, too: nothing of them may be kept (E9).
func TestSecrets_M1_AreNowhere(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "secret"), canaries["file"]+"\n")
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(`hooks:
  - name: site
    path: /site
    provider: github
    secret: ["%s", "%s", "${file:secret}"]
    rules:
      - name: say
        run: |
          printf 'half of it: %%s' "${TOKEN%%%%-*}"; printf -- "-%%s\n" "${TOKEN##*-}"; echo "whole: $TOKEN"; env; sleep 0.3
        env: {TOKEN: "${DEPLOY_TOKEN}"}
      - name: post
        http: {url: "http://127.0.0.1:1/", allow_private: true, headers: {Authorization: "Bearer ${API_TOKEN}"}, timeout: 1s}
        retry: {attempts: 1}
      - name: broken
        match: int(payload.n) > 0 && payload.secret.x == "${RULE_SECRET}"
        run: ":"
`, canaries["hook"], canaries["second"]))
	cmd := serveCommand(t, dir)
	cmd.Env = []string{
		"SOME_TOKEN=" + canaries["unasked"], "DEPLOY_TOKEN=" + canaries["env"], "API_TOKEN=" + canaries["header"], "RULE_SECRET=" + canaries["unused"],
	}
	p := launchCommand(t, dir, cmd)
	r := &running{t: t, dir: dir}

	body := `{"n":"x","secret":null}`
	a, err := send("POST", p.url+"/site", body, map[string]string{
		"X-Hub-Signature-256": sign(canaries["second"], body), "X-GitHub-Delivery": "1", "X-GitHub-Event": "push",
	})
	must(t, err)
	if len(a.json.Jobs) != 2 {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	environments := environmentsBelow(t, p.cmd.Process.Pid)
	const unverified = "canary-unverified-0f0f0f0f0f"
	for _, path := range []string{"/site", "/nowhere"} {
		_, err := send("POST", p.url+path, `{"a":"`+unverified+`"}`, map[string]string{"X-Hub-Signature-256": "sha256=" + unverified, "X-GitHub-Event": unverified})
		must(t, err)
	}
	eventually(t, "the jobs to end", func() bool { return strings.Count(p.log.String(), `"msg":"job `) == 2 })

	said := map[string]string{"log": p.log.String(), "answer": a.body, "environment": environments, "argv": argv(t, p.cmd.Process.Pid)}
	for _, path := range []string{"status", "hooks", "deliveries", "jobs", "rejects", "audit"} {
		_, said["api "+path] = r.admin(path)
	}
	for _, id := range a.json.Jobs {
		_, said["job "+id] = r.admin("jobs/" + id)
		_, said["output "+id] = r.admin("jobs/" + id + "/output")
	}
	_, said["delivery"] = r.admin("deliveries/" + a.json.Delivery)
	_, said["metrics"] = r.admin("../../metrics")
	for _, name := range []string{"t.db", "t.db-wal", "t.db-shm"} {
		said[name] = readOr(filepath.Join(dir, name))
	}
	p.end(t)
	said["t.db, closed"] = readOr(filepath.Join(dir, "t.db"))
	lookForCanaries(t, said, unverified)
}

func lookForCanaries(t *testing.T, said map[string]string, unverified string) {
	t.Helper()
	looked := 0
	for place, text := range said {
		for of, secret := range canaries {
			if of == "env" && place == "environment" {
				continue // the rule asks for it by name
			}
			for _, form := range written(secret) {
				if strings.Contains(text, form) {
					t.Errorf("%s holds the secret of %s as %q", place, of, form)
				}
				looked++
			}
		}
		if strings.Contains(text, unverified) {
			t.Errorf("%s holds a part of an unverified request", place)
		}
	}
	t.Logf("%d secrets in %d forms looked for in %d places, 0 found", len(canaries), looked/len(said)/len(canaries), len(said))
}

// environmentsBelow are the environments of the commands that a daemon runs, joined.
func environmentsBelow(t *testing.T, daemon int) string {
	t.Helper()
	var all strings.Builder
	eventually(t, "the command to run", func() bool {
		all.Reset()
		for _, stat := range children(t, daemon) {
			all.WriteString(readOr(filepath.Join(filepath.Dir(stat), "environ")))
		}
		return strings.Contains(all.String(), "HOOK_JOB=")
	})
	return all.String()
}

// argv are the command lines of a daemon and what it runs.
func argv(t *testing.T, daemon int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", daemon))
	must(t, err)
	for _, stat := range children(t, daemon) {
		text = append(text, readOr(filepath.Join(filepath.Dir(stat), "cmdline"))...)
	}
	return string(text)
}

// TestLog_M3_IsOneLineForAnEventWhateverComesIn sends line ends, escapes and quotes in everything a
// sender chooses.
func TestLog_M3_IsOneLineForAnEventWhateverComesIn(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+`hooks: [{name: site, path: "/site/{x}", provider: github, secret: `+secret+`, run: "printf '\\033[2J\\n{\\042level\\042:1}\\n'; exit 3"}]`)
	p := launch(t, dir)
	hostile := []string{"a\x1b[2Jb", `","level":"ERROR","msg":"forged`, "a\u2028b", "\x7f\x80\xff", strings.Repeat("long", 1000), "\u202etxt.exe"}
	for i, text := range hostile {
		body := fmt.Sprintf(`{"n":%d}`, i)
		id := strings.Map(func(c rune) rune { // what a header may hold
			if c < ' ' || c == 0x7f {
				return -1
			}
			return c
		}, text)
		_, err := send("POST", p.url+"/site/"+url.PathEscape(text)+"?q="+url.QueryEscape(text), body, map[string]string{
			"X-Hub-Signature-256": sign(secret, body), "X-GitHub-Delivery": id, "X-GitHub-Event": "push", "User-Agent": id, "X-Forwarded-For": id,
		})
		must(t, err)
		_, err = send("POST", p.url+"/nowhere/"+url.PathEscape(text+"\r\nb"), body, map[string]string{"X-Hub-Signature-256": id})
		must(t, err)
	}
	eventually(t, "the jobs to end", func() bool { return strings.Count(p.log.String(), `"msg":"job failed"`) == len(hostile) })
	p.end(t)
	lines := 0
	for line := range strings.Lines(p.log.String()) {
		var one struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &one); err != nil || one.Msg == "" {
			t.Errorf("a line of the log is no event: %.200q", line)
		}
		if strings.Contains(one.Msg, "forged") || len(line) > 8<<10 || !utf8.ValidString(line) || strings.ContainsAny(line, "\x1b\x7f\u2028\u202e") {
			t.Errorf("a line of the log is forged, too long or not escaped: %.200q", line)
		}
		lines++
	}
	t.Logf("%d hostile texts in path, query, headers, id and output: %d lines, each one event", len(hostile), lines)
}

// TestReload_E2_AnEmptiedSecretChangesNothing empties the file a secret comes from.
func TestReload_E2_AnEmptiedSecretChangesNothing(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "secret"), secret)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+"hooks: [{name: site, path: /site, provider: github, secret: \"${file:secret}\", run: ':'}]\n")
	r := startIn(t, dir)
	for _, content := range []string{"", "\n"} {
		write(t, filepath.Join(dir, "secret"), content)
		r.eventually("the empty secret to be refused", func() bool { return !r.status().Config.LastReloadOK })
		if a := r.send("POST", "/site", "{}", map[string]string{"X-Hub-Signature-256": sign("", "{}"), "X-GitHub-Event": "push"}); a.status != 401 {
			t.Errorf("a signature with an empty key was answered %d", a.status)
		}
		if a := r.push("/site", "id"+fmt.Sprint(len(content)), "push", "{}"); a.status != 202 {
			t.Errorf("the secret before is no longer taken: %d", a.status)
		}
		write(t, filepath.Join(dir, "secret"), secret)
		r.eventually("the secret to be good again", func() bool { return r.status().Config.LastReloadOK })
	}
}

// TestReplay_E10_OfTheSameRequestIsADuplicateAlsoAfterARestart sends the very same bytes again.
func TestReplay_E10_OfTheSameRequestIsADuplicateAlsoAfterARestart(t *testing.T) {
	w := newWalk(t)
	p := launch(t, w.dir)
	first, err := w.post(p.url, 2, `{"n":2,"pause":0}`)
	must(t, err)
	eventually(t, "its job to succeed", func() bool { return strings.Contains(p.log.String(), "job succeeded") })
	for range 2 {
		again, err := w.post(p.url, 2, `{"n":2,"pause":0}`)
		must(t, err)
		if again.status != 200 || again.json.Status != "duplicate" || again.json.Delivery != first.json.Delivery {
			t.Errorf("the same request again is answered %d %s", again.status, again.body)
		}
		p.end(t)
		p = launch(t, w.dir)
	}
	p.end(t)
	if got := strings.Count(read(t, w.ledger), "run "); got != 1 {
		t.Errorf("it ran %d times", got)
	}
}
