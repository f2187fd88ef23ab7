package ui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// The bounds of what lets people in.
const (
	sessionFor  = 12 * time.Hour
	linkFor     = 5 * time.Minute
	maxSessions = 256
	maxLinks    = 64
)

// cookieName has the prefix with which browsers keep a cookie to this very host, over TLS or on
// loopback: no other host or port scheme can set it.
const cookieName = "__Host-tenterhook"

// session is somebody who is logged in. It lives in memory: a restart ends it.
type session struct {
	admin.Visitor
	csrf string
	ends time.Time
	over context.Context // done when it is ended before
	end  context.CancelFunc

	mu   sync.Mutex
	said string // shown once, on the next page
}

// owns reports whether a form was made for this session.
func (s *session) owns(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.csrf)) == 1
}

// say keeps what was done for the next page.
func (s *session) say(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = what
}

func (s *session) takeSaid() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.said
	s.said = ""
	return said
}

// sessions are those that are open and the links that open one. Keys are kept as digests, so that
// neither comparing nor reading memory tells a key.
type sessions struct {
	now func() time.Time

	mu    sync.Mutex
	open  map[[sha256.Size]byte]*session
	links map[[sha256.Size]byte]link
}

type link struct {
	admin.Visitor
	ends time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, open: map[[sha256.Size]byte]*session{}, links: map[[sha256.Size]byte]link{}}
}

// newLink makes the key of a link that opens one session.
func (s *sessions) newLink(v admin.Visitor) (key string, ends time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ends = rand.Text(), s.now().Add(linkFor)
	for digest, l := range s.links {
		if !l.ends.After(s.now()) || len(s.links) >= maxLinks {
			delete(s.links, digest)
		}
	}
	s.links[sha256.Sum256([]byte(key))] = link{v, ends}
	return key, ends
}

// redeem uses a link up.
func (s *sessions) redeem(key string) (v admin.Visitor, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := sha256.Sum256([]byte(key))
	l, ok := s.links[digest]
	delete(s.links, digest)
	return l.Visitor, ok && l.ends.After(s.now())
}

// begin opens a session and sets its cookie. When there are too many, the one that ends first
// does.
func (s *sessions) begin(w http.ResponseWriter, v admin.Visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := rand.Text() + rand.Text()
	s.makeRoom()
	over, end := context.WithCancel(context.Background()) // it outlives the request
	s.open[sha256.Sum256([]byte(key))] = &session{Visitor: v, csrf: rand.Text(), ends: s.now().Add(sessionFor), over: over, end: end}
	http.SetCookie(w, cookie(key, int(sessionFor.Seconds())))
}

func (s *sessions) makeRoom() {
	now := s.now()
	var first [sha256.Size]byte
	var oldest *session
	for digest, one := range s.open {
		if !one.ends.After(now) {
			s.drop(digest)
			continue
		}
		if oldest == nil || one.ends.Before(oldest.ends) {
			first, oldest = digest, one
		}
	}
	if len(s.open) >= maxSessions {
		s.drop(first)
	}
}

// drop ends a session, and the stream of who is logged in with it.
func (s *sessions) drop(digest [sha256.Size]byte) {
	if one := s.open[digest]; one != nil {
		one.end()
		delete(s.open, digest)
	}
}

// within is ctx until the session ends.
func (s *session) within(ctx context.Context, now time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.ends.Sub(now))
	stop := context.AfterFunc(s.over, cancel)
	return ctx, func() { stop(); cancel() }
}

func cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// of is the session of a request, nil when it has none.
func (s *sessions) of(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.open[sha256.Sum256([]byte(c.Value))]
	if one == nil || !one.ends.After(s.now()) {
		return nil
	}
	return one
}

// end ends the session of a request.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		s.drop(sha256.Sum256([]byte(c.Value)))
		s.mu.Unlock()
	}
	http.SetCookie(w, cookie("", -1))
}
