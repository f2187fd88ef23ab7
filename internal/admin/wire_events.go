package admin

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// Missed says that events were lost, because they came faster than they were read or because
// nobody remembers them any more. Whoever shows lists reads them again.
type Missed struct {
	Events uint64 `json:"events"` // how many, 0 when nobody knows
}

// ReloadEvent is a reload that was tried.
type ReloadEvent struct {
	At       Time         `json:"at"`
	Trigger  string       `json:"trigger"` // watch, sighup, admin
	OK       bool         `json:"ok"`
	Changed  bool         `json:"changed"`
	Digest   string       `json:"digest"` // of the configuration that runs now
	Problems []Diagnostic `json:"problems"`
}

// PauseEvent is a hook or rule that was paused or resumed.
type PauseEvent struct {
	At     Time   `json:"at"`
	Hook   string `json:"hook"`
	Rule   string `json:"rule"` // "" is every rule of the hook
	Paused bool   `json:"paused"`
}

// Reject is a request, or a run of like ones, that was refused.
type Reject struct {
	ID     string `json:"id"`
	At     Time   `json:"at"`
	IP     string `json:"ip"`
	Hook   string `json:"hook"` // "" when no hook has the path
	Status int    `json:"status"`
	Error  string `json:"error"`  // the word the sender was told
	Reason string `json:"reason"` // why, in words; the error when there is no more to say
	Size   int64  `json:"size"`   // of the body as announced, -1 when it was not
	Count  int    `json:"count"`  // how many requests it stands for
	LastAt Time   `json:"last_at"`
}

// NewReject is the wire form of r.
func NewReject(r *job.Reject) Reject {
	reason := r.Reason
	if reason == "" {
		reason = r.Error
	}
	return Reject{
		ID: r.ID, At: Time{r.At}, IP: r.IP, Hook: r.Hook, Status: r.Status, Error: r.Error, Reason: reason,
		Size: r.Size, Count: r.Count, LastAt: Time{r.LastAt},
	}
}

// AuditEntry is one change that somebody made.
type AuditEntry struct {
	N        int64  `json:"n"` // from 1, without a gap
	At       Time   `json:"at"`
	AtMicros int64  `json:"at_micros"` // microseconds since 1970, as the hash has it
	Who      string `json:"who"`
	Remote   string `json:"remote"`
	Action   string `json:"action"`
	Subject  string `json:"subject"`
	Detail   string `json:"detail"`
	Result   string `json:"result"` // "ok", or why not
	Previous string `json:"previous"`
	Hash     string `json:"hash"`
}

// NewAuditEntry is the wire form of e.
func NewAuditEntry(e *job.AuditEntry) AuditEntry {
	return AuditEntry{
		N: e.N, At: Time{e.At}, AtMicros: e.At.UnixMicro(), Who: e.Who, Remote: e.Remote, Action: e.Action, Subject: e.Subject,
		Detail: e.Detail, Result: e.Result, Previous: e.Previous, Hash: e.Hash,
	}
}

// Entry is e as it was kept.
func (e *AuditEntry) Entry() job.AuditEntry {
	return job.AuditEntry{
		N: e.N, At: time.UnixMicro(e.AtMicros).UTC(), Who: e.Who, Remote: e.Remote, Action: e.Action, Subject: e.Subject,
		Detail: e.Detail, Result: e.Result, Previous: e.Previous, Hash: e.Hash,
	}
}
