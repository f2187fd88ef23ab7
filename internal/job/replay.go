package job

import "time"

// Replay is a row of stored deliveries that are decided anew, one after the other, oldest first.
type Replay struct {
	ID  string // UUIDv7
	Who string // asked for it

	// Which deliveries, in the words of who asked. Since and Until are what these meant then;
	// Until is never after CreatedAt, so that what arrives meanwhile is not among them.
	Asked ReplayFilter
	Since time.Time
	Until time.Time

	Rate float64 // deliveries a second

	Status     ReplayStatus
	Reason     string // why it failed, "" otherwise
	CreatedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt time.Time

	Total   int    // deliveries that the filter found when it began
	Done    int    // of them, that have been decided on
	Made    int    // new jobs
	Skipped int    // deliveries without a new job
	Failed  int    // deliveries that could not be decided on
	Last    string // the delivery that was decided on last, "" before the first
}

// ReplayFilter says which deliveries, and which of their rules. Two that are equal ask for the
// same.
type ReplayFilter struct {
	Hook    string  `json:"hook,omitempty"`
	Rule    string  `json:"rule,omitempty"` // only deliveries with a job of it, and only its jobs are made anew
	Event   string  `json:"event,omitempty"`
	State   State   `json:"state,omitempty"`
	Outcome Outcome `json:"outcome,omitempty"`
	Since   string  `json:"since,omitempty"` // RFC 3339, or how long ago
	Until   string  `json:"until,omitempty"`
	Match   string  `json:"match,omitempty"` // an expression that must hold
	Which   string  `json:"which,omitempty"` // "", failed or missing
}

// ReplayStatus says how far a replay is.
type ReplayStatus string

// The statuses of a replay. One that was cancelled goes on when the same is asked for again.
const (
	ReplayRunning   ReplayStatus = "running"
	ReplayDone      ReplayStatus = "done"
	ReplayCancelled ReplayStatus = "cancelled"
	ReplayFailed    ReplayStatus = "failed"
)

// MostReplays is how many replays are remembered: the newest.
const MostReplays = 500
