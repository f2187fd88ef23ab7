package job

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// AuditEntry is one change that somebody made. Entries are numbered from 1 without a gap, and
// each holds the hash of the one before it: one that is changed, left out or put in between breaks
// the chain for all that follow. What is cut off at the end cannot be seen in the chain itself;
// the daemon's log has each hash too.
type AuditEntry struct {
	N        int64
	At       time.Time // whole microseconds
	Who      string    // as the admin side names who it let in; "daemon" for what it did by itself
	Remote   string    // the address the request came from, "" for none
	Action   string    // retry, cancel, replay, pause, resume, reload, …
	Subject  string    // the job, delivery, hook/rule or replay it was done to
	Detail   string    // what else was asked for
	Result   string    // "ok", or why not
	Previous string    // the Hash of entry N-1; of the first, Genesis
	Hash     string    // hexadecimal SHA-256, see Seal
}

// Genesis is the Previous of entry 1.
var Genesis = strings.Repeat("0", 2*sha256.Size)

// AuditAnchor is the last entry that retention took away: the first that is left follows it. The
// zero anchor means that none was.
type AuditAnchor struct {
	N    int64
	Hash string
}

// Seal makes e the entry that follows after. It makes its texts valid UTF-8, bounds them, and sets
// N, Previous and Hash.
func (e *AuditEntry) Seal(after AuditAnchor) {
	e.N, e.Previous = after.N+1, after.Hash
	if after.N == 0 {
		e.Previous = Genesis
	}
	e.At = e.At.UTC().Truncate(time.Microsecond)
	for _, s := range []*string{&e.Who, &e.Remote, &e.Action, &e.Subject, &e.Detail, &e.Result} {
		*s = strings.ToValidUTF8((*s)[:min(len(*s), mostAuditText)], "�")
	}
	e.Hash = e.digest()
}

// mostAuditText bounds each text of an entry, in bytes.
const mostAuditText = 2048

// digest is the SHA-256 of a JSON array without spaces: [previous, n, at in microseconds since
// 1970, who, remote, action, subject, detail, result].
func (e *AuditEntry) digest() string {
	text, err := json.Marshal([]any{e.Previous, e.N, e.At.UnixMicro(), e.Who, e.Remote, e.Action, e.Subject, e.Detail, e.Result})
	if err != nil {
		panic(err) // numbers and valid text always encode
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// AuditCheck follows a chain from its newest entry to its oldest.
type AuditCheck struct {
	newer *AuditEntry
	first AuditEntry // the newest
	n     int
}

// Add looks at the next older entry. The error says where the chain is broken.
func (c *AuditCheck) Add(e AuditEntry) error {
	switch {
	case e.digest() != e.Hash:
		return fmt.Errorf("entry %d was changed: its hash is not that of its content", e.N)
	case c.newer == nil:
		c.first = e
	case e.N != c.newer.N-1:
		return fmt.Errorf("entry %d follows entry %d: what was between is gone", c.newer.N, e.N)
	case e.Hash != c.newer.Previous:
		return fmt.Errorf("entry %d was replaced: entry %d follows another one", e.N, c.newer.N)
	}
	c.newer, c.n = &e, c.n+1
	return nil
}

// Close says whether the oldest entry follows the anchor, which must be read after the entries. It
// returns how many entries there are
// and the newest, which is zero when there are none.
func (c *AuditCheck) Close(anchor AuditAnchor) (n int, newest AuditEntry, err error) {
	expected := anchor.Hash
	if anchor.N == 0 {
		expected = Genesis
	}
	if c.newer != nil && c.newer.N <= anchor.N {
		return c.n, c.first, nil // it was taken away after it was looked at
	}
	if c.newer != nil && (c.newer.N != anchor.N+1 || c.newer.Previous != expected) {
		return c.n, c.first, fmt.Errorf("entry %d does not follow entry %d, the last that retention took away", c.newer.N, anchor.N)
	}
	return c.n, c.first, nil
}
