package hook

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

// Respond is what the sender is told instead of the standard answer. It never changes the
// answer to a request that was not verified or not stored.
type Respond struct {
	Wait        time.Duration // how long to wait for the jobs' output; 0 answers at once
	ContentType string        // of a waited-for output, and of the body
	accepted    *answer
	ignored     *answer
	failed      *answer // instead of the output of a job that did not succeed
}

type answer struct {
	status int // 0: the standard one
	header map[string]string
	body   *expression.Template
}

type respondSpec struct {
	Status      int                    `yaml:"status" doc:"200 to 299 or 400 to 599."`
	Headers     map[string]config.Text `yaml:"headers" doc:"Headers of the answer."`
	Body        config.Text            `yaml:"body" doc:"Body of the answer, a template."`
	Wait        time.Duration          `yaml:"wait" doc:"Wait so long for the jobs and answer with the first rule's output, at most 60s; else 202."`
	ContentType string                 `yaml:"content_type" doc:"Content type of that output, and of body."`
	Ignored     *otherSpec             `yaml:"ignored" doc:"The answer when no rule matched, if it is another."`
	Failed      *otherSpec             `yaml:"failed" doc:"The answer when the job that was waited for did not succeed, instead of 500 and its output."`
}

// otherSpec is an answer for a case of its own.
type otherSpec struct {
	Status  int                    `yaml:"status" doc:"200 to 299 or 400 to 599."`
	Headers map[string]config.Text `yaml:"headers" doc:"Headers of the answer; those of respond when left out."`
	Body    config.Text            `yaml:"body" doc:"Body of the answer, a template."`
}

// longestWait keeps a waiting answer inside the server's write timeout.
const longestWait = 60 * time.Second

// checkWait refuses to wait for output that cannot be there in time.
func checkWait(h *Hook, spec *hookSpec, d *config.Diagnostics) {
	if h.Respond.Wait == 0 || len(h.Rules) == 0 {
		return
	}
	if c := h.Rules[0].controls.Debounce; c != nil && c.Quiet >= h.Respond.Wait {
		d.Errorf(spec.Respond.Find("wait"), "wait (%s) is over before debounce lets the rule run (quiet %s)", short(h.Respond.Wait), short(c.Quiet)).
			Hint("a longer wait, or no debounce")
	}
}

func compileRespond(h *Hook, spec *hookSpec, scope expression.Scope, d *config.Diagnostics) {
	if spec.Respond.IsZero() {
		return
	}
	var s respondSpec
	if !spec.Respond.Decode(&s, d) {
		return
	}
	if s.Wait > longestWait {
		d.Errorf(spec.Respond.Find("wait"), "wait is at most %s: senders give up long before", longestWait)
	}
	checkStatus(s.Status, spec.Respond.Find("status"), d)
	if strings.Contains(s.ContentType, "${{") {
		d.Errorf(spec.Respond.Find("content_type"), "content_type is the same for every delivery")
	}
	h.Respond = Respond{Wait: s.Wait, ContentType: s.ContentType}
	h.Respond.accepted = compileAnswer(s.Status, s.Headers, s.Body, scope, d)
	h.Respond.accepted.setType(s.ContentType)
	h.Respond.ignored = h.Respond.accepted
	if s.Ignored != nil {
		h.Respond.ignored = compileOther(s.Ignored, spec.Respond.Find("ignored"), s.Headers, scope, d)
	}
	if s.Failed != nil {
		h.Respond.failed = compileOther(s.Failed, spec.Respond.Find("failed"), s.Headers, scope, d)
		if s.Wait == 0 {
			d.Errorf(spec.Respond.Key("failed"), "failed is the answer for a job that was waited for and did not succeed, and nothing is waited for").
				Hint("respond: {wait: 10s, failed: {body: it did not work}}")
		}
	}
}

// compileOther compiles ignored: or failed:. It has the headers of the other answers unless it
// says its own.
func compileOther(s *otherSpec, node config.Node, headers map[string]config.Text, scope expression.Scope, d *config.Diagnostics) *answer {
	checkStatus(s.Status, node.Find("status"), d)
	if !node.Find("headers").IsZero() {
		headers = s.Headers
	}
	return compileAnswer(s.Status, headers, s.Body, scope, d)
}

func checkStatus(status int, node config.Node, d *config.Diagnostics) {
	if status != 0 && (status < 200 || status > 599 || status >= 300 && status < 400) {
		d.Errorf(node, "status is 200 to 299 or 400 to 599, found %d", status).
			Hint("senders do not follow redirects")
	}
}

func compileAnswer(status int, headers map[string]config.Text, body config.Text, scope expression.Scope, d *config.Diagnostics) *answer {
	a := &answer{status: status, header: map[string]string{}}
	for name, value := range headers {
		if strings.Contains(value.Value, "${{") {
			d.Errorf(value, "the headers of an answer are the same for every delivery").Hint("body may hold expressions")
			continue
		}
		if !validHeader(name, value.Value) {
			d.Errorf(value, "header %q cannot be sent", name)
			continue
		}
		a.header[name] = value.Value
	}
	if body.Value != "" {
		a.body = compileTemplate(body, scope, d)
	}
	if status == 0 && len(a.header) == 0 && a.body == nil {
		return nil
	}
	return a
}

// setType says what the body is, unless a header does.
func (a *answer) setType(contentType string) {
	if a == nil || a.body == nil || contentType == "" {
		return
	}
	for name := range a.header {
		if http.CanonicalHeaderKey(name) == "Content-Type" {
			return
		}
	}
	a.header["Content-Type"] = contentType
}

func validHeader(name, value string) bool {
	for _, s := range []string{name, value} {
		for i := range len(s) {
			if s[i] < ' ' || s[i] == 0x7f {
				return false
			}
		}
	}
	return name != ""
}

// Answer is a response to the sender. A zero Status or nil Body leaves the standard one.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Insisted is what the sender insists on being told of a delivery that was taken, and of its
// duplicates; nil when the standard answer will do.
func (h *Hook) Insisted() *Answer {
	if h.Provider == nil || h.Provider.Accepted == nil {
		return nil
	}
	a := h.Provider.Accepted
	out := &Answer{Status: a.Status, Header: a.Header.Clone(), Body: append([]byte{}, a.Body...)}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	return out
}

// Answer returns what respond: says for a stored delivery, or nil when the standard answer
// stands. A body that cannot be evaluated leaves the standard answer: the delivery is stored,
// and the sender must hear so.
func (h *Hook) Answer(r *request.Request, d *job.Delivery) *Answer {
	a := h.Respond.accepted
	if d.Outcome == job.Ignored {
		a = h.Respond.ignored
	}
	if a == nil {
		return h.Insisted()
	}
	return h.render(a, r, d)
}

// Output is the answer with the output of the first rule's job, which was waited for. A job that
// did not succeed is answered with what respond.failed says, and with its output as far as that
// says nothing.
func (h *Hook) Output(r *request.Request, d *job.Delivery, succeeded bool, output []byte) *Answer {
	out := &Answer{Status: http.StatusOK, Header: http.Header{}}
	a := h.Respond.accepted
	if !succeeded {
		out.Status, a = http.StatusInternalServerError, h.Respond.failed
	}
	if a != nil {
		out.Status = cmp.Or(a.status, out.Status)
		for name, value := range a.header {
			out.Header.Set(name, value)
		}
	}
	if !succeeded && a != nil && a.body != nil {
		if said := h.render(a, r, d); said != nil {
			out.Header, out.Body = said.Header, said.Body
		}
		return out // and when the body cannot be evaluated, not the output, which was to be kept back
	}
	if h.Respond.ContentType != "" {
		out.Header.Set("Content-Type", h.Respond.ContentType)
	}
	if out.Header.Get("Content-Type") == "" {
		out.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	out.Body = output
	return out
}

// render makes an answer; nil when its body cannot be evaluated.
func (h *Hook) render(a *answer, r *request.Request, d *job.Delivery) *Answer {
	out := &Answer{Status: a.status, Header: http.Header{}}
	for name, value := range a.header {
		out.Header.Set(name, value)
	}
	if a.body == nil {
		return out
	}
	body, _, err := a.body.Text(h.input(r, Identity{Key: d.Key, Event: d.Event}, d.ID))
	if err != nil {
		return nil
	}
	out.Body = []byte(body)
	if out.Header.Get("Content-Type") == "" {
		out.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	return out
}
