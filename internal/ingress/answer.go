package ingress

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/store"
)

// receiptJSON is what a sender gets for a stored delivery or its duplicate: {"status":…,"delivery":…},
// and the jobs of one that is new. Nothing in it needs an escape.
func receiptJSON(outcome job.Outcome, receipt store.Receipt) []byte {
	b := make([]byte, 0, 128+39*len(receipt.Jobs))
	b = append(append(b, `{"status":"`...), outcome...)
	b = append(append(b, `","delivery":"`...), receipt.Delivery...)
	b = append(b, '"')
	if outcome != job.Duplicate {
		b = append(b, `,"jobs":[`...)
		for i := range receipt.Jobs {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), receipt.Jobs[i].ID...), '"')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// expect subscribes to the jobs' ends when the hook answers with their output.
func (h *Handler) expect(hk *hook.Hook, jobs []job.Job) (wait func(context.Context) ([]Finished, bool), release func()) {
	if hk.Respond.Wait == 0 || len(jobs) == 0 || h.Await == nil {
		return nil, func() {}
	}
	return h.Await.Expect(ids(jobs))
}

// answer tells the sender what became of a delivery that is on disk. It returns the status.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, hk *hook.Hook, req *request.Request, d *job.Delivery, receipt store.Receipt, wait func(context.Context) ([]Finished, bool)) (status int) {
	if insisted := hk.Insisted(); receipt.Duplicate && insisted != nil {
		return writeAnswer(w, insisted.Status, insisted.Header, insisted.Body)
	}
	if receipt.Duplicate {
		return writeLine(w, http.StatusOK, receiptJSON(job.Duplicate, receipt))
	}
	if wait != nil {
		if said := h.output(r, hk, req, d, wait); said != nil {
			return writeAnswer(w, said.Status, said.Header, said.Body)
		}
	}
	status, body := http.StatusAccepted, receiptJSON(d.Outcome, receipt)
	if d.Outcome == job.Ignored {
		status = http.StatusOK
	}
	custom := hk.Answer(req, d)
	if custom == nil {
		return writeLine(w, status, body)
	}
	if custom.Status != 0 {
		status = custom.Status
	}
	if custom.Body == nil {
		custom.Body = body
		custom.Header.Set("Content-Type", "application/json")
	}
	return writeAnswer(w, status, custom.Header, custom.Body)
}

// output waits for the jobs and makes an answer of the first rule's output; nil when they did not
// end in time: the standard answer follows, and the jobs go on.
func (h *Handler) output(r *http.Request, hk *hook.Hook, req *request.Request, d *job.Delivery, wait func(context.Context) ([]Finished, bool)) *hook.Answer {
	ctx, cancel := context.WithTimeout(r.Context(), hk.Respond.Wait)
	defer cancel()
	ends, ok := wait(ctx)
	if !ok || len(ends) == 0 {
		return nil
	}
	return hk.Output(req, d, ends[0].State == job.Succeeded, ends[0].Output)
}

func ids(jobs []job.Job) []string {
	out := make([]string, len(jobs))
	for i := range jobs {
		out[i] = jobs[i].ID
	}
	return out
}

// writeJSON writes an answer and returns its status.
func writeJSON(w http.ResponseWriter, status int, body any) int {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, `{"error":"internal"}`, http.StatusInternalServerError)
		return http.StatusInternalServerError
	}
	return writeLine(w, status, data)
}

// writeLine writes an answer of JSON, as one line, and returns its status.
func writeLine(w http.ResponseWriter, status int, data []byte) int {
	w.Header()["Content-Type"] = ofJSON
	return writeAnswer(w, status, nil, append(data, '\n'))
}

// Values of headers that every answer has; nobody changes them.
var (
	ofJSON  = []string{"application/json"}
	nosniff = []string{"nosniff"}
)

// writeAnswer writes an answer and returns its status.
func writeAnswer(w http.ResponseWriter, status int, header http.Header, body []byte) int {
	for name, values := range header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.Header()["X-Content-Type-Options"] = nosniff
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a sender that hung up is told by its retry
	return status
}

// refusal is a request that is not taken: a status and a stable word for the sender, a reason
// for the operator.
type refusal struct {
	status     int
	word       string
	reason     string // never sent
	retryAfter int    // seconds
	limit      int64  // bytes, for 413
	allow      []string
}

type refusalBody struct {
	Error string `json:"error"`
	Limit int64  `json:"limit_bytes,omitempty"`
}

// refuse answers and records a request that is not taken. A hook with hide: true shows nothing
// but what an unknown path shows.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, hk *hook.Hook, no refusal) {
	name := ""
	if hk != nil {
		name = hk.Name
	}
	h.record(r, name, no)
	if hk != nil && hk.Hide && no.status != http.StatusServiceUnavailable && no.status != http.StatusTooManyRequests {
		no = refusal{status: http.StatusNotFound, word: "not_found"}
	}
	if no.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(no.retryAfter))
	}
	if no.allow != nil {
		w.Header().Set("Allow", strings.Join(no.allow, ", "))
	}
	if no.status == http.StatusRequestEntityTooLarge || no.status == http.StatusBadRequest {
		w.Header().Set("Connection", "close")
	}
	writeJSON(w, no.status, refusalBody{Error: no.word, Limit: no.limit})
}

func (h *Handler) record(r *http.Request, hook string, no refusal) {
	h.Observe.Refused(hook, no.word)
	ip := clientIP(r, h.Proxies)
	h.Rejects.Add(job.Reject{At: time.Now(), IP: ip.String(), Hook: hook, Status: no.status, Error: no.word, Reason: no.reason, Size: r.ContentLength})
	if hook == "" && no.status == http.StatusNotFound {
		return // scanners: counted and listed, not logged
	}
	if allowed, suppressed := h.refusals.allow(time.Now()); allowed {
		h.Log.Warn("request refused", "hook", hook, "status", no.status, "error", no.word, "reason", no.reason, "ip", ip.String(), "suppressed", suppressed)
	}
}

func wholeSeconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}
