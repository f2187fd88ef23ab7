package ui

import (
	"context"
	"net/http"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// rejectedData is what the list of refused requests shows.
type rejectedData struct {
	Filter filter
	Hooks  []string
	Rows   []job.Reject
	Next   string
	Newest string
	Query  string
	Now    time.Time
	Part   string // what scripts ask for to keep the page up to date, "" when it is not the newest
}

func (u *UI) rejected(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	f, s, err := readFilter(r.URL.Query(), v.now)
	if err != nil {
		return nil, err
	}
	found, err := u.backend.Rejects(ctx, s)
	if err != nil {
		return nil, err
	}
	data := rejectedData{Filter: f, Rows: found, Query: f.values().Encode(), Now: v.now}
	for _, h := range u.backend.Hooks() {
		data.Hooks = append(data.Hooks, h.Name)
	}
	if len(found) == pageRows {
		data.Next = f.next("/rejected", found[len(found)-1].ID, s)
	}
	if f.cursor != "" {
		data.Newest = "/rejected?" + data.Query
	}
	return &view{name: "rejected", title: "Rejected", nav: "rejected", data: data}, nil
}

// remedies say what to do about a refusal, by the word the sender was told.
var remedies = map[string]string{
	"verification_failed":          "The signature or secret is not one of the hook's. Compare the secret at the sender; during a rotation list both.",
	"not_found":                    "No hook has this path. Paths match exactly, with case and slashes; see Hooks.",
	"method_not_allowed":           "The hook takes other methods; methods: says which.",
	"body_too_large":               "The body is larger than the hook's max_body.",
	"body_undecodable":             "The body is not what its content type says; parse: overrides it.",
	"body_unreadable":              "The sender broke off before its body was complete.",
	"rate_limited":                 "The sender's address sent more than rate: allows.",
	"queue_full":                   "Too many jobs wait. Look at what holds them; the sender tries again.",
	"cannot_store":                 "The store could not commit; the sender tries again. tenterhook status says more.",
	"busy":                         "Too many large bodies at once; the sender tries again.",
	"stopping":                     "The daemon was stopping; the sender tries again.",
	"unsupported_content_encoding": "Only identity and gzip are read.",
	"internal_error":               "A fault of this program; its log says where, please report it. The sender tries again.",
	"cannot_confirm":               "The sender's check of the address could not be answered.",
}

func remedy(word string) string { return remedies[word] }
