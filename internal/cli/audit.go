package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// auditCmd is "audit".
type auditCmd struct {
	Verify bool  `help:"Follow the chain of hashes from the newest entry to the oldest."`
	Limit  int   `short:"n" default:"50" placeholder:"N" help:"At most this many, up to 500 (default 50)."`
	Cursor int64 `placeholder:"N" help:"Those before entry N: the next page."`
	JSON   bool  `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (auditCmd) Help() string {
	return `Every change that somebody made, by the command line, the API or the web pages: when, who, what, to which job, hook or replay, and what came of it. Each entry has the hash of the one before it, so one that was changed, taken out or put in is found by --verify. Entries cut off at the end are not: compare number and hash of the newest with the daemon's log, which has them too.

Examples:

    tenterhook audit
    tenterhook audit --verify
    tenterhook audit --json | jq -r '.[] | select(.action == "replay") | .who'
`
}

// Run lists or verifies.
func (c *auditCmd) Run(e *env) error {
	if c.Limit < 1 || c.Limit > admin.MaxLimit {
		return misuse(fmt.Errorf("--limit must be from 1 to %d", admin.MaxLimit))
	}
	if c.Cursor < 0 || c.Verify && c.Cursor > 0 {
		return misuse(errors.New("--cursor is the number of an entry, and --verify looks at all of them"))
	}
	return e.reading(func(from source) error {
		if c.Verify {
			return c.verify(e, from)
		}
		page, err := from.AuditLog(e.ctx, c.Cursor, c.Limit)
		if err != nil {
			return err
		}
		list := []admin.AuditEntry{}
		for i := range page.Entries {
			list = append(list, admin.NewAuditEntry(&page.Entries[i]))
		}
		switch {
		case c.JSON:
			err = writeJSON(e.stdout, list)
		case len(list) == 0:
			e.say("nobody changed anything yet")
		default:
			c.print(e, list)
		}
		if len(list) == c.Limit {
			e.sayMore(strconv.FormatInt(list[len(list)-1].N, 10))
		}
		return err
	})
}

func (c *auditCmd) print(e *env, list []admin.AuditEntry) {
	t := table{columns: []column{
		{title: "N", right: true}, {title: "TIME"}, {title: "WHO"}, {title: "ACTION"}, {title: "WHAT"}, {title: "RESULT", gives: true},
	}}
	for _, x := range list {
		how := green
		if x.Result != "ok" {
			how = plain
		}
		what := x.Subject
		if uuid.Validate(what) == nil {
			what = shortID(what)
		}
		t.row(cell{strconv.FormatInt(x.N, 10), plain}, cell{x.At.Local().Format("2006-01-02 15:04:05"), plain}, cell{x.Who, plain},
			cell{x.Action, plain}, cell{what, plain}, cell{x.Result, how})
	}
	t.write(e.stdout, e.out)
}

// verdict is what --verify --json prints.
type verdict struct {
	OK      bool   `json:"ok"`
	Problem string `json:"problem"`
	Entries int    `json:"entries"` // looked at
	Newest  int64  `json:"newest"`  // number
	Hash    string `json:"hash"`    // of the newest
	Anchor  int64  `json:"anchor"`  // number of the last entry that retention took away, 0 for none
}

func (c *auditCmd) verify(e *env, from source) error {
	v, err := followChain(e, from)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := writeJSON(e.stdout, v); err != nil {
			return err
		}
		if !v.OK {
			return said(exitFailed)
		}
		return nil
	}
	if !v.OK {
		return fail(fmt.Errorf("the audit log is broken: %s", v.Problem), "somebody changed the store; the daemon's log has number and hash of each entry")
	}
	fmt.Fprintf(e.stdout, "%s, %s\n", e.out.paint(green, "ok"), count(v.Entries, "entry", "entries"))
	newest := ""
	if v.Newest > 0 {
		newest = fmt.Sprintf("%d, hash %s", v.Newest, v.Hash)
	}
	kept := ""
	if v.Anchor > 0 {
		kept = fmt.Sprintf("%d, the first that retention left", v.Anchor+1)
	}
	facts(e.stdout, e.out, [2]string{"newest", newest}, [2]string{"oldest", kept})
	return nil
}

// followChain reads all entries, the newest first.
func followChain(e *env, from source) (v verdict, err error) {
	var check job.AuditCheck
	var anchor job.AuditAnchor
	for before := int64(0); ; {
		page, err := from.AuditLog(e.ctx, before, admin.MaxLimit)
		if err != nil {
			return v, err
		}
		for _, x := range page.Entries {
			if v.Entries++; v.Newest == 0 {
				v.Newest, v.Hash = x.N, x.Hash
			}
			if err := check.Add(x); err != nil {
				v.Problem = err.Error()
				return v, nil
			}
			before = x.N
		}
		anchor = page.Anchor
		// Retention may take the oldest away meanwhile: what is anchored then needs no looking at.
		if len(page.Entries) < admin.MaxLimit || before <= anchor.N+1 {
			break
		}
	}
	v.Anchor = anchor.N
	if _, _, err := check.Close(anchor); err != nil {
		v.Problem = err.Error()
	}
	v.OK = v.Problem == ""
	return v, nil
}
