package job

import "time"

// Report is what a sender is told of a job: how far it is. It is brought from Reached to what the job
// is now, whatever was between, so that what is told is never older than what was told before.
type Report struct {
	Job, Delivery, Hook, Rule string
	N                         int    // which of the rule's, from 0
	To                        string // github-status, …, as the rule said when the job was made
	State                     State  // the job's, now
	Reached                   string // Stage that was told, or given up on; "" for none yet
	Remote                    string // what the sender calls what was made there; "" for nothing
	Tries                     int    // of Stage, that failed
	NextAt                    time.Time
	At                        time.Time // of the last try
	Error                     string    // of the last try; "" when it was told
	Open                      bool      // there may be more to tell
}

// Stage is what there is to tell of a state: one word for those that wait.
func Stage(s State) string {
	if s == Scheduled || s == Queued {
		return StageWaiting
	}
	return string(s)
}

// StageWaiting is the Stage of a job that waits.
const StageWaiting = "waiting"
