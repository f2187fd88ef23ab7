package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

var (
	rejectFilters = []string{"hook", "since", "until", "limit", "cursor"}
	auditFilters  = []string{"limit", "cursor"}
)

// rejects lists refused requests.
func (a *api) rejects(w http.ResponseWriter, r *http.Request, q url.Values) {
	f, err := parseFilter(q, a.now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	found, err := a.backend.Rejects(r.Context(), f)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	list := make([]Reject, len(found))
	for i := range found {
		list[i] = NewReject(&found[i])
	}
	if len(found) > 0 {
		linkNext(w, r, f, len(found), found[len(found)-1].ID)
	}
	a.writeJSON(w, r, list)
}

// headerAnchor names what the oldest entry of the audit log follows: its number and hash.
const headerAnchor = "Tenterhook-Audit-Anchor"

// auditLog lists what was changed, newest first; its cursors are numbers of entries.
func (a *api) auditLog(w http.ResponseWriter, r *http.Request, q url.Values) {
	before, err := parseNumber(q.Get("cursor"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "cursor is not the number of an entry")
		return
	}
	q.Del("cursor")
	f, err := parseFilter(q, a.now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	found, err := a.backend.AuditLog(r.Context(), before, f.Limit)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	// The anchor last: an entry that is taken away in between is then listed and not missed.
	anchor, err := a.backend.AuditAnchor(r.Context())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	list := make([]AuditEntry, len(found))
	for i := range found {
		list[i] = NewAuditEntry(&found[i])
	}
	if len(found) > 0 {
		linkNext(w, r, f, len(found), strconv.FormatInt(found[len(found)-1].N, 10))
	}
	w.Header().Set(headerAnchor, strconv.FormatInt(anchor.N, 10)+" "+anchor.Hash)
	a.writeJSON(w, r, list)
}

func parseNumber(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && n < 1 {
		err = errors.New("not positive")
	}
	return n, err
}

// auditWait bounds how long an answer waits for its audit entry.
const auditWait = 5 * time.Second

// audit keeps who changed what and what came of it. The log has it too, with the hash, so that an
// audit log whose end was cut off can be found out.
func (a *api) audit(r *http.Request, action, subject, detail, result string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), auditWait)
	defer cancel()
	e := job.AuditEntry{
		At: a.now(), Who: whoIs(r), Remote: r.RemoteAddr, Action: action, Subject: subject, Detail: detail, Result: result,
	}
	kept, err := a.backend.Audit(ctx, e)
	if err != nil {
		a.log.ErrorContext(ctx, "audit entry not kept", "error", err)
		kept = e
	}
	a.log.InfoContext(ctx, "audit", "action", action, "id", subject, "by", e.Who, "remote", e.Remote, "result", result, "n", kept.N, "hash", kept.Hash)
}
