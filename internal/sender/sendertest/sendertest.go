// Package sendertest is the providers' APIs for tests: servers on this machine that keep what they
// are told and answer as the providers' documentation describes it, errors, pages, entity tags and
// rate limits too. It was written after that documentation and not tried against the providers.
package sendertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Token is what every server here takes.
const Token = "token-of-the-test-0123456789"

// Server is one provider's API.
type Server struct {
	*httptest.Server
	// Page is how many entries a page has at most; 0 is what was asked for.
	Page int
	// Dated: GitLab's events say when they were sent.
	Dated bool

	mu       sync.Mutex
	requests []string // as METHOD path
	refuse   []Refusal
	hooks    []*Hook
	sent     []*Sent // oldest first
	next     int
	ahead    time.Duration
	same     int // answers that were 304
	down     bool
	answered func(*http.Request)

	app         githubApp
	told        []Told
	deployments []map[string]any
}

// Hook is a registered webhook.
type Hook struct {
	ID     int
	URL    string
	Events []string
	Active bool
	Secret string
	Plain  bool // form bodies
}

// Sent is a delivery as the provider keeps it.
type Sent struct {
	ID     int
	Hook   int
	GUID   string
	Event  string
	At     time.Time
	Status int // of the answer; 0: nobody answered
	Body   json.RawMessage
}

// Refusal is an answer instead of the real one.
type Refusal struct {
	Status int
	Header http.Header
	Body   string
}

// start serves until the returned server is closed.
func start(api func(s *Server, mux *http.ServeMux), authorized func(*http.Request) bool, denied string) *Server {
	s := &Server{next: 1}
	mux := http.NewServeMux()
	api(s, mux)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		w.Header().Set("Date", time.Now().Add(s.ahead).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/json")
		if s.answered != nil {
			defer s.answered(r)
		}
		if s.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if len(s.refuse) > 0 {
			no := s.refuse[0]
			s.refuse = s.refuse[1:]
			for name, values := range no.Header {
				w.Header()[http.CanonicalHeaderKey(name)] = values
			}
			w.WriteHeader(no.Status)
			fmt.Fprint(w, no.Body)
			return
		}
		if !authorized(r) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, denied)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return s
}

// Refuse makes the next answers these.
func (s *Server) Refuse(all ...Refusal) { s.locked(func() { s.refuse = append(s.refuse, all...) }) }

// Down makes every answer 503, or not any more.
func (s *Server) Down(down bool) { s.locked(func() { s.down = down }) }

// OnAnswer calls do when a request was acted on, before its answer has reached who asked. It calls no
// method of s.
func (s *Server) OnAnswer(do func(*http.Request)) { s.locked(func() { s.answered = do }) }

// Ahead sets the server's clock before ours.
func (s *Server) Ahead(d time.Duration) { s.locked(func() { s.ahead = d }) }

// Requests returns what was asked for since the last call.
func (s *Server) Requests() (all []string) {
	s.locked(func() { all, s.requests = s.requests, nil })
	return all
}

// NotModified returns how many answers were 304.
func (s *Server) NotModified() (n int) {
	s.locked(func() { n = s.same })
	return n
}

// Hooks returns what is registered.
func (s *Server) Hooks() (all []Hook) {
	s.locked(func() {
		for _, h := range s.hooks {
			all = append(all, *h)
		}
	})
	return all
}

// Add registers a hook, as somebody else did.
func (s *Server) Add(h Hook) (id int) {
	s.locked(func() { id = s.add(&h) })
	return id
}

func (s *Server) add(h *Hook) int {
	h.ID, s.next = s.next, s.next+1
	s.hooks = append(s.hooks, h)
	return h.ID
}

// Send keeps a delivery that was sent, and what was answered.
func (s *Server) Send(d Sent) {
	s.locked(func() {
		d.ID, s.next = s.next, s.next+1
		s.sent = append(s.sent, &d)
	})
}

func (s *Server) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// find is a registered hook, or nil after 404 was answered.
func (s *Server) find(w http.ResponseWriter, id string) *Hook {
	for _, h := range s.hooks {
		if strconv.Itoa(h.ID) == id {
			return h
		}
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"message":"Not Found","documentation_url":"https://docs.github.com/rest"}`)
	return nil
}

func (s *Server) remove(h *Hook) {
	s.hooks = slices.DeleteFunc(s.hooks, func(one *Hook) bool { return one == h })
}

// newestFirst are the deliveries of a hook, 0 for all.
func (s *Server) newestFirst(hook int) (all []*Sent) {
	for _, d := range slices.Backward(s.sent) {
		if hook == 0 || d.Hook == hook {
			all = append(all, d)
		}
	}
	return all
}

// pageSize is how many entries a page has.
func (s *Server) pageSize(r *http.Request, name string, usual, most int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 {
		n = usual
	}
	n = min(n, most)
	if s.Page > 0 {
		n = min(n, s.Page)
	}
	return n
}

// numbered writes one of a list's numbered pages, with a Link to the next.
func numbered[T any](s *Server, w http.ResponseWriter, r *http.Request, size int, list []T) {
	page := 1
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil && n > 0 {
		page = n
	}
	from, to := min((page-1)*size, len(list)), min(page*size, len(list))
	if to < len(list) {
		s.link(w, r, "page", strconv.Itoa(page+1))
	}
	answer(w, http.StatusOK, list[from:to])
}

// link names the next page.
func (s *Server) link(w http.ResponseWriter, r *http.Request, name, value string) {
	q := r.URL.Query()
	q.Set(name, value)
	w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.URL, r.URL.EscapedPath(), q.Encode()))
}

func answer(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func bearer(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+Token }

// field reads a member of a JSON object, "" when it is no text.
func field(v map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		v, _ = v[name].(map[string]any)
	}
	text, _ := v[path[len(path)-1]].(string)
	return text
}

func texts(v any) (all []string) {
	list, _ := v.([]any)
	for _, one := range list {
		if text, ok := one.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

func readJSON(r *http.Request) map[string]any {
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	return body
}
