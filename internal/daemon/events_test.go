package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tenterhook/tenterhook/internal/store"
)

// events opens the daemon's event stream. It ends with the test or the daemon.
func (r *running) events(query string) <-chan [2]string {
	r.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.dir+"/admin.sock")
	}, DisableKeepAlives: true}}
	response, err := client.Get("http://localhost/api/v1/events" + query)
	must(r.t, err)
	out := make(chan [2]string, 1000)
	go func() {
		defer close(out)
		defer func() { _ = response.Body.Close() }()
		kind := ""
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if k, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = k
			} else if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				out <- [2]string{kind, data}
			}
		}
	}()
	return out
}

func TestEvents_TellTheWholeStoryOfADelivery(t *testing.T) {
	r := start(t, `
hooks:
  - name: site
    path: /hook
    provider: github
    secret: `+secret+`
    run: echo done
`)
	events := r.events("")
	a := r.push("/hook", "d-1", "push", `{}`)
	job := r.job(a.json.Jobs[0])
	again := r.push("/hook", "d-1", "push", `{}`)
	if again.json.Status != "duplicate" {
		t.Errorf("%s", again.body)
	}
	r.send("POST", "/hook", "{}", nil)
	must(t, r.client.SetPause(t.Context(), "site", "", true))
	_, err := r.client.Reload(t.Context())
	must(t, err)

	var told []string
	seen := map[string]bool{}
	for e := range events {
		var v struct {
			State, Outcome, Error, ID, Rule, Action string
			Paused, OK                              bool
		}
		must(t, json.Unmarshal([]byte(e[1]), &v))
		line := strings.TrimSpace(fmt.Sprintf("%s %s%s%s%s", e[0], v.State, v.Outcome, v.Error, v.Action))
		if e[0] == "job" && v.ID != job.ID {
			t.Errorf("event of another job: %s", e[1])
		}
		told = append(told, line)
		seen[line] = true
		if line == "audit reload" {
			break
		}
	}
	want := []string{
		"delivery accepted", "job queued", "job running", "job succeeded", "delivery duplicate", "reject verification_failed",
		"pause", "audit pause", "reload", "audit reload",
	}
	for _, line := range want {
		if !seen[line] {
			t.Errorf("nothing was told of %q: %q", line, told)
		}
	}
	// A daemon that stops ends the streams at once.
	must(t, r.stop())
	for range events {
	}
}

func TestRejects_AreStillListedAfterARestart(t *testing.T) {
	r := start(t, `
hooks:
  - name: site
    path: /hook
    provider: github
    secret: `+secret+`
    run: echo done
`)
	for range 3 {
		r.send("POST", "/hook", "{}", nil)
	}
	r.send("POST", "/elsewhere", "{}", nil)
	before, _, err := r.client.Rejects(t.Context(), store.Filter{Limit: 10})
	must(t, err)
	must(t, r.stop())
	r = startIn(t, r.dir)
	after, _, err := r.client.Rejects(t.Context(), store.Filter{Limit: 10})
	must(t, err)
	if fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 2 || after[1].Count != 3 || after[1].Hook != "site" || after[0].Error != "not_found" {
		t.Errorf("before\n%+v\nafter\n%+v", before, after)
	}
}

func TestAudit_KeepsWhoChangedWhat(t *testing.T) {
	r := start(t, `
hooks:
  - name: site
    path: /hook
    provider: github
    secret: `+secret+`
    run: echo done
`)
	a := r.push("/hook", "d-1", "push", `{}`)
	j := r.job(a.json.Jobs[0])
	_, err := r.client.Retry(t.Context(), j.ID)
	must(t, err)
	if err := r.client.SetPause(t.Context(), "nope", "", true); err == nil {
		t.Error("an unknown hook was paused")
	}
	must(t, r.stop())
	r = startIn(t, r.dir)
	must(t, r.client.SetPause(t.Context(), "site", "", true))
	log, err := r.client.AuditLog(t.Context(), 0, 10)
	must(t, err)
	var got []string
	for _, e := range log.Entries {
		got = append(got, fmt.Sprintf("%d %s %s %s", e.N, e.Action, e.Subject, e.Result))
	}
	want := fmt.Sprintf("[3 pause site ok 2 pause nope hook nope: not found 1 retry %s ok]", j.ID)
	if fmt.Sprint(got) != want || !strings.HasPrefix(log.Entries[0].Who, "uid ") {
		t.Errorf("%v\nwant %s", got, want)
	}
}

// TestAudit_EveryEntryIsInTheLogWithItsHash has a change of each origin: what is cut off at the end
// of the store's list can then be found out.
func TestAudit_EveryEntryIsInTheLogWithItsHash(t *testing.T) {
	r := bench(t, 1)
	path := filepath.Join(r.dir, "hooks.yaml")
	config := read(t, path)
	write(t, path, config+"# seen by the watch\nworkers: 3\n")
	_, err := r.client.Reload(t.Context())
	must(t, err)
	write(t, path, "nothing: of this\n")
	r.eventually("a bad edit to be refused", func() bool { return !r.status().Config.LastReloadOK })
	write(t, path, config)
	must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	r.eventually("the good edit to arrive", func() bool { return r.status().Config.LastReloadOK })
	r.through(r.begin(paid("")).ID)
	var missing, actions []string
	r.eventually("every entry to be in the log", func() bool {
		page, err := r.client.AuditLog(t.Context(), 0, 50)
		must(t, err)
		missing, actions = nil, nil
		for _, e := range page.Entries {
			actions = append(actions, e.Who+" "+e.Action)
			if !strings.Contains(r.log.String(), e.Hash) {
				missing = append(missing, fmt.Sprintf("%+v", e))
			}
		}
		return slices.Contains(actions, "daemon replay ended") && len(missing) == 0
	})
	if !slices.ContainsFunc(actions, func(a string) bool { return a == "watch reload" || a == "sighup reload" }) {
		t.Errorf("no reload by an edit among %q", actions)
	}
}
