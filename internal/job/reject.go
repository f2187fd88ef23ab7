package job

import "time"

// Reject is a request, or a run of like ones, that was refused. It holds nothing of its content.
type Reject struct {
	ID     string // UUIDv7
	At     time.Time
	IP     string
	Hook   string // "" when no hook has the path
	Status int
	Error  string // the word the sender was told
	Reason string // what it was not told, "" when that is all
	Size   int64  // of the body as it was announced, -1 when it was not
	Count  int    // how many requests it stands for: like ones within a minute are one
	LastAt time.Time
}
