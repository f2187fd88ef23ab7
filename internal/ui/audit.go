package ui

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// auditData is what the audit log shows.
type auditData struct {
	Rows   []auditRow
	Next   string
	Newest string
	Broken int64 // the number of the first entry, from the newest, that does not follow the one before; 0 for none
	Now    time.Time
}

// auditRow is one change that somebody made.
type auditRow struct {
	job.AuditEntry
	OK  bool
	URL string // of what it was done to
}

func (u *UI) auditLog(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	before := int64(0)
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		n, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil || n < 1 {
			return nil, refused("The page asked for does not exist.")
		}
		before = n
	}
	found, err := u.backend.AuditLog(ctx, before, pageRows)
	if err != nil {
		return nil, err
	}
	data := auditData{Now: v.now, Broken: brokenLink(found)}
	for i := range found {
		data.Rows = append(data.Rows, auditRow{found[i], found[i].Result == "ok", subjectURL(&found[i])})
	}
	if len(found) == pageRows {
		data.Next = "/audit?cursor=" + strconv.FormatInt(found[len(found)-1].N, 10)
	}
	if before > 0 {
		data.Newest = "/audit"
	}
	return &view{name: "audit", title: "Audit log", nav: "audit", data: data}, nil
}

// brokenLink looks at the chain of the entries on a page, newest first.
func brokenLink(found []job.AuditEntry) int64 {
	for i := 1; i < len(found); i++ {
		if newer, older := &found[i-1], &found[i]; newer.Previous != older.Hash || newer.N != older.N+1 {
			return newer.N
		}
	}
	return 0
}

// subjectURL is the page of what a change was made to, "" when it has none.
func subjectURL(e *job.AuditEntry) string {
	switch {
	case e.Subject == "":
		return ""
	case e.Action == "retry" || e.Action == "cancel":
		return "/jobs/" + e.Subject
	case strings.HasPrefix(e.Action, "replay") && isID(e.Subject):
		return "/deliveries/" + e.Subject
	case e.Action == "pause" || e.Action == "resume":
		hook, _, _ := strings.Cut(e.Subject, "/")
		return hookURL(hook)
	}
	return ""
}
