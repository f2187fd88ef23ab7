package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// story is the example of flow control with a daemon on it. Its work writes to story.log, lasts
// while it is held, and fails when it is told to.
type story struct{ *running }

func newStory(t *testing.T) story {
	t.Helper()
	s := story{exampleIn(t, "flow-control", "HOOK_SECRET="+secret)}
	for _, folder := range []string{"hold", "fail"} {
		must(t, os.Mkdir(filepath.Join(s.dir, folder), 0o700))
	}
	return s
}

// post sends a payload and returns the id of its job.
func (s story) post(hook, payload string) string {
	s.t.Helper()
	a := s.send("POST", "/"+hook, payload, map[string]string{"Authorization": "Bearer " + secret, "Content-Type": "application/json"})
	if a.status != http.StatusAccepted || len(a.json.Jobs) != 1 {
		s.t.Fatalf("%s was answered %d %s", payload, a.status, a.body)
	}
	return a.json.Jobs[0]
}

func version(n int) string { return fmt.Sprintf(`{"version":"%d"}`, n) }

func (s story) hold(name string)    { write(s.t, filepath.Join(s.dir, "hold", name), "") }
func (s story) release(name string) { must(s.t, os.Remove(filepath.Join(s.dir, "hold", name))) }
func (s story) fail(name string)    { write(s.t, filepath.Join(s.dir, "fail", name), "") }

// lines is the story so far.
func (s story) lines() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "story.log"))
	if os.IsNotExist(err) {
		return ""
	}
	must(s.t, err)
	return strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "\n", "; ")
}

// tells waits until the story goes like this.
func (s story) tells(want string) {
	s.t.Helper()
	s.eventually("the story to go "+want+"; it goes "+s.lines(), func() bool { return s.lines() == want })
}

// becomes waits until a job is in a state, and checks which job it names.
func (s story) becomes(id string, want job.State, by string) admin.JobDetail {
	s.t.Helper()
	s.eventually("job to be "+string(want), func() bool { return s.job(id).State == want })
	j := s.job(id)
	if j.SupersededBy != by {
		s.t.Errorf("%s job names %q, want %q", want, j.SupersededBy, by)
	}
	return j
}

func TestStory_OnlyTheNewestDeployMatters(t *testing.T) {
	s := newStory(t)
	s.hold("deploy-1")
	var ids []string
	for n := range 4 {
		ids = append(ids, s.post("deploy", fmt.Sprintf(`{"branch":"main","version":"%d"}`, n+1)))
		if n == 0 {
			s.tells("deploy 1 begins")
		}
	}
	s.becomes(ids[1], job.Superseded, ids[2])
	s.becomes(ids[2], job.Superseded, ids[3])
	s.fail("deploy-4")
	s.release("deploy-1")
	s.tells("deploy 1 begins; deploy 1 ends; deployed 1; deploy 4 begins; deploy 4 fails; deploy of 4 failed: exit status 1")
	j := s.becomes(ids[3], job.Failed, "")
	if len(j.FollowUps) != 1 || j.FollowUps[0].Event != "on_failure" || len(j.Attempts) != 1 {
		t.Errorf("recorded %+v", j)
	}
}

func TestStory_TheNewestPreviewRunsWhenTheOldOneIsReallyGone(t *testing.T) {
	s := newStory(t)
	s.hold("preview-1")
	one := s.post("preview", `{"pull_request":7,"version":"1"}`)
	s.tells("preview 1 begins")
	two := s.post("preview", `{"pull_request":7,"version":"2"}`)
	s.tells("preview 1 begins; cleaned up 1; preview 2 begins; preview 2 ends")
	s.becomes(one, job.Superseded, two)
	s.becomes(two, job.Succeeded, "")
}

func TestStory_ABackupThatRunsIsEnough(t *testing.T) {
	s := newStory(t)
	s.hold("backup-1")
	one := s.post("backup", version(1))
	s.tells("backup 1 begins")
	s.becomes(s.post("backup", version(2)), job.Skipped, one)
	s.release("backup-1")
	s.becomes(one, job.Succeeded, "")
	s.becomes(s.post("backup", version(3)), job.Succeeded, "")
}

func TestStory_OneMessageForABurstOfAlerts(t *testing.T) {
	s := newStory(t)
	var ids []string
	for n := range 3 {
		ids = append(ids, s.post("alerts", fmt.Sprintf(`{"service":"db","n":%d}`, n)))
	}
	s.tells(`alerts: [{"service":"db","n":0},{"service":"db","n":1},{"service":"db","n":2}]`)
	s.becomes(ids[0], job.Superseded, ids[1])
	s.becomes(ids[1], job.Superseded, ids[2])
	s.becomes(ids[2], job.Succeeded, "")
}

func TestStory_TheIndexIsBuiltOnceForABurstOfEditsOverARestart(t *testing.T) {
	s := newStory(t)
	for n := range 3 {
		s.post("index", version(n+1))
	}
	must(t, s.stop())
	s.running = exampleAgain(t, s.running, "HOOK_SECRET="+secret)
	s.tells("index 3 begins; index 3 ends")
}

func TestStory_CallsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	began := time.Now()
	var last string
	for n := range 4 {
		last = s.post("api", version(n+1))
	}
	s.eventually("four calls", func() bool { return strings.Count(s.lines(), "ends") == 4 })
	if took := time.Since(began); took < 1900*time.Millisecond {
		t.Errorf("four calls took %s, which is over two in two seconds", took)
	}
	s.becomes(last, job.Succeeded, "")
}

func TestStory_ReadingsOverTheRateAreShownAsSkipped(t *testing.T) {
	s := newStory(t)
	var states []job.State
	var ids []string
	for n := range 5 {
		ids = append(ids, s.post("sensor", fmt.Sprintf(`{"sensor":"a","version":"%d"}`, n)))
	}
	other := s.post("sensor", `{"sensor":"b","version":"9"}`)
	s.becomes(other, job.Succeeded, "")
	s.becomes(ids[2], job.Succeeded, "")
	for _, id := range ids {
		states = append(states, s.job(id).State)
	}
	if fmt.Sprint(states) != "[succeeded succeeded succeeded skipped skipped]" {
		t.Errorf("states %v", states)
	}
	if reason := s.job(ids[4]).Reason; reason != "over its rate limit of 3 per 1h" {
		t.Errorf("reason %q", reason)
	}
}

func TestStory_AnOlderStockLevelNeverOverwritesANewerOne(t *testing.T) {
	s := newStory(t)
	at := func(version, when string) string {
		return s.post("stock", fmt.Sprintf(`{"article":1,"version":"%s","updated_at":"%s"}`, version, when))
	}
	newer := at("2", "2026-03-01T12:00:01.5Z")
	s.becomes(newer, job.Succeeded, "")
	s.becomes(at("1", "2026-03-01T13:00:01.4+01:00"), job.Stale, newer)
	s.becomes(at("3", "2026-03-01T12:00:02Z"), job.Succeeded, "")
	s.tells("stock 2 begins; stock 2 ends; stock 3 begins; stock 3 ends")
}

func TestStory_APaymentIsBookedOnce(t *testing.T) {
	s := newStory(t)
	paid := func(n int) string { return s.post("payment", fmt.Sprintf(`{"payment":"pi_1","version":"%d"}`, n)) }
	s.fail("payment-1")
	s.becomes(paid(1), job.Failed, "")
	s.hold("payment-2")
	two := paid(2)
	s.tells("payment 1 begins; payment 1 fails; payment 2 begins")
	three := paid(3) // waits to see how the second ends
	s.release("payment-2")
	s.becomes(three, job.Skipped, two)
	s.becomes(paid(4), job.Skipped, two)
	s.tells("payment 1 begins; payment 1 fails; payment 2 begins; payment 2 ends")
}

func TestStory_ADoorOpensNowOrNotAtAll(t *testing.T) {
	s := newStory(t)
	s.hold("door-1")
	one := s.post("door", version(1))
	s.tells("door 1 begins")
	s.becomes(s.post("door", version(2)), job.Expired, "")
	s.release("door-1")
	s.becomes(one, job.Succeeded, "")
	s.tells("door 1 begins; door 1 ends")
}

func TestStory_WhatIsUrgentGoesFirst(t *testing.T) {
	s := newStory(t)
	s.hold("mail-1")
	s.post("mail", version(1))
	s.tells("mail 1 begins")
	s.post("mail", version(2))
	s.post("mail", `{"version":"3","urgent":true}`)
	s.release("mail-1")
	s.tells("mail 1 begins; mail 1 ends; mail 3 begins; mail 3 ends; mail 2 begins; mail 2 ends")
}

func TestStory_APausedHookKeepsWhatArrivesOverARestart(t *testing.T) {
	s := newStory(t)
	must(t, s.client.SetPause(t.Context(), "index", "", true))
	id := s.post("backup", version(1))
	s.becomes(id, job.Succeeded, "")
	must(t, s.client.SetPause(t.Context(), "backup", "backup", true))
	id = s.post("backup", version(2))
	must(t, s.stop())
	s.running = exampleAgain(t, s.running, "HOOK_SECRET="+secret)
	if st := s.status(); len(st.Paused) != 2 || st.Paused[0].Hook != "backup" || st.Jobs[job.Queued] != 1 {
		t.Errorf("status %+v", st)
	}
	must(t, s.client.SetPause(t.Context(), "backup", "backup", false))
	s.becomes(id, job.Succeeded, "")
	if err := s.client.SetPause(t.Context(), "nope", "", true); err == nil {
		t.Error("an unknown hook was paused")
	}
}
