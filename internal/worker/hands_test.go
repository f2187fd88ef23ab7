package worker_test

import (
	"testing"

	"github.com/tenterhook/tenterhook/internal/job"
)

// A job is read as it waits and ends before the reading is taken up: taken up, it would be a ghost, whose
// place in the lane costs another one its run.
func TestHands_AJobThatEndedWhileItWasReadIsNotTakenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.limit, w.rule.overflow = 1, job.OverflowSkip
		w.start()
		w.pool.Watch()
		read := w.store.put(job.Job{ID: "a"})
		w.pool.Add([]job.Job{read})
		w.settle()
		w.state("a", job.Succeeded, "")
		w.pool.SetPaused([]job.Pause{{Hook: "deploy", Rule: "main"}})
		w.pool.TakeUp([]job.Job{read})
		w.same("a is known", w.pool.Knows("a"), false)
		w.add(job.Job{ID: "b"})
		w.settle()
		w.state("b", job.Queued, "") // and not skipped
		w.pool.SetPaused(nil)
		w.settle()
		w.state("b", job.Succeeded, "")
	})
}

func TestHands_AJobThatRunsWhenAnOlderReadingIsTakenUpDoesNotComeAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.rule.do = untilTold
		w.start()
		w.pool.Watch()
		read := w.store.put(job.Job{ID: "a"})
		w.pool.Add([]job.Job{read})
		w.settle()
		w.state("a", job.Running, "")
		w.pool.TakeUp([]job.Job{read})
		w.pool.SetPaused([]job.Pause{{Hook: "deploy", Rule: "main"}})
		if err := w.pool.Cancel(t.Context(), "a", "enough"); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.same("a is known", w.pool.Knows("a"), false)
		w.state("a", job.Cancelled, "enough")
	})
}

func TestHands_WhatWasReadOfJobsThatAreNotHereIsTakenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		waits, over := w.store.put(job.Job{ID: "a"}), w.store.put(job.Job{ID: "b", State: job.Skipped})
		w.pool.Watch()
		w.pool.TakeUp([]job.Job{waits, over})
		w.settle()
		w.state("a", job.Succeeded, "")
		w.state("b", job.Skipped, "")
	})
}
