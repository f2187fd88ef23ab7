package main

import (
	"encoding/json"
	"testing"
)

func TestLargePush_HasCommitsAsDifferentAsThoseOfARepository(t *testing.T) {
	for _, size := range []int{200_000, 25_000_000} {
		body := largePush("/big", size).body
		var push struct {
			Commits    []commit
			HeadCommit commit `json:"head_commit"`
		}
		if err := json.Unmarshal([]byte(body), &push); err != nil {
			t.Fatal(err)
		}
		if n := len(push.Commits); len(body) < size-size/100 || len(body) > size+size/20 || n < 100 || n > mostCommits {
			t.Errorf("%d bytes with %d commits, instead of %d bytes", len(body), n, size)
		}
		ids, times, texts := map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, c := range push.Commits {
			ids[c.ID], ids[c.TreeID], times[c.Timestamp], texts[c.Message] = true, true, true, true
		}
		if n := len(push.Commits); len(ids) != 2*n || len(times) != n || len(texts) < n-n/20 {
			t.Errorf("%d commits have %d hashes, %d times and %d texts", n, len(ids), len(times), len(texts))
		}
		if push.HeadCommit.ID != push.Commits[len(push.Commits)-1].ID {
			t.Error("the head is not the last commit")
		}
	}
}

func TestLargePush_IsTheSameEachTime(t *testing.T) {
	first, second := largePush("/big", 50_000), largePush("/big", 50_000)
	if first != second {
		t.Error("two runs send different bodies")
	}
}
