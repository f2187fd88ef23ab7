package job_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

func TestSpread_MakesOneJobForEachNodeWithKeysOfItsOwn(t *testing.T) {
	nodes := func(label string) []string {
		if label == "web" {
			return []string{"a", "b"}
		}
		return nil
	}
	in := []job.Job{
		{ID: "1", Rule: "any", ConcurrencyKey: "k"},
		{ID: "2", Rule: "every", Every: "web", ConcurrencyKey: "k", Keys: job.Keys{Once: "o", Throttle: "t"}},
		{ID: "3", Rule: "none", Every: "gpu", ConcurrencyKey: "k"},
	}
	out := job.Spread(in, nodes)
	if len(out) != 4 || out[0].ID != "1" || out[1].ID != "2" || out[2].ID == "2" || out[3].ID != "3" {
		t.Fatalf("%+v", out)
	}
	if a := out[1]; a.Target != "a" || a.ConcurrencyKey != "k on a" || a.Keys != (job.Keys{Once: "o on a", Throttle: "t on a"}) {
		t.Errorf("%+v", a)
	}
	if b := out[1].For("b"); b.ConcurrencyKey != out[2].ConcurrencyKey || b.Keys != out[2].Keys {
		t.Errorf("of the job for a the one for b is %+v", b)
	}
	if w := out[3]; w.Target != job.Somewhere || w.ConcurrencyKey != "k" || w.For("a").ConcurrencyKey != "k on a" {
		t.Errorf("%+v", w)
	}
	if out[0].Target != "" || in[1].Every != "web" {
		t.Errorf("%+v of %+v", out[0], in[1])
	}
}

func TestSite_HasWhatItNames(t *testing.T) {
	web := []string{"db", "web"}
	for site, want := range map[job.Site]bool{
		{}:                                  true,
		{Label: "web"}:                      true,
		{Label: "gpu"}:                      false,
		{Node: "a"}:                         true,
		{Node: "b"}:                         false,
		{Node: "a", Label: "gpu"}:           false,
		{Node: job.Somewhere, Label: "web"}: false,
	} {
		if got := site.Has("a", web); got != want {
			t.Errorf("%+v: %v", site, got)
		}
	}
}

func TestFlow_ASiteWithoutRoomKeepsNobodyElseWaiting(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	f := job.NewFlow()
	add := func(id, rule string, on job.Site, resumes, held bool) {
		f.Add(job.Waiting{Job: job.Job{ID: id, Rule: rule, CreatedAt: now}, Lane: job.Lane{Rule: rule, On: on}, Resumes: resumes, Held: held}, now)
	}
	web, gpu := job.Site{Label: "web"}, job.Site{Label: "gpu"}
	add("w1", "w", web, false, false)
	add("g1", "g", gpu, false, false)
	add("w2", "w", web, false, false)
	add("a1", "a", job.Site{}, false, false)
	add("gr", "gr", gpu, true, false)
	add("gh", "gh", gpu, true, true)
	rooms := map[job.Site]bool{{}: true, web: true}
	var got []string
	for {
		w, ok := f.NextFor(now, func(s job.Site) bool { return rooms[s] })
		if !ok {
			break
		}
		got = append(got, w.Job.ID)
	}
	if want := []string{"gh", "w1", "w2", "a1"}; !slices.Equal(got, want) {
		t.Errorf("handed out %v, want %v", got, want)
	}
	stranded := f.Stranded(func(s job.Site) bool { return rooms[s] }, 10)
	if len(stranded) != 1 || stranded[0].Job.ID != "g1" || len(f.Stranded(func(job.Site) bool { return false }, 10)) != 0 {
		t.Errorf("stranded are %+v", stranded)
	}
	f.Move(func(j *job.Job) job.Site { return web })
	w, ok := f.NextFor(now, func(s job.Site) bool { return rooms[s] })
	if again, more := f.NextFor(now, func(s job.Site) bool { return rooms[s] }); !ok || !more || w.Job.ID != "gr" || again.Job.ID != "g1" {
		t.Errorf("after the move %v and %v", w.Job.ID, again.Job.ID)
	}
}

func TestFlow_KnowsWhatIsAway(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	f := job.NewFlow()
	j := job.Job{ID: "1", Rule: "r", CreatedAt: now}
	f.Add(job.Waiting{Job: j, Lane: job.Lane{Rule: "r"}}, now)
	if f.Away(&j) {
		t.Error("a job that waits is away")
	}
	f.Next(now)
	again := j
	again.Attempt, again.Since = 1, 1
	if !f.Away(&j) || f.Away(&again) {
		t.Errorf("of a job that runs the attempt is away: %v, and one that was queued again: %v", f.Away(&j), f.Away(&again))
	}
	f.Done("1", nil, now)
	if f.Away(&j) {
		t.Error("a job that is over is away")
	}
}
