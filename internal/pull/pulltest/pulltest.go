// Package pulltest is the servers that deliveries wait at, for tests: smee and gosmee as their
// sources have them (github.com/probot/smee.io, lib/server.js; github.com/chmouel/gosmee,
// gosmee/server.go), on this machine. They were written after those and not tried against them.
package pulltest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is a smee or gosmee server with the channel /channel-of-test.
type Server struct {
	*httptest.Server
	// Durable: gosmee with Redis keeps what came, numbers it, and goes on after Last-Event-ID.
	Durable bool
	// Mute: no sign of life is sent.
	Mute bool
	// Rewrite is what becomes of a body that smee has parsed; nil leaves it as it came, which is what
	// JavaScript does of most that GitHub sends.
	Rewrite func(body []byte) []byte

	gosmee bool
	mu     sync.Mutex
	kept   []entry
	next   int
	taken  []chan entry
	heads  []http.Header // of those who connected
}

type entry struct {
	id   string
	data []byte
}

// Channel is the path of the channel.
const Channel = "/channel-of-test"

// New starts a server.
func New(gosmee bool) *Server {
	s := &Server{gosmee: gosmee}
	s.Server = httptest.NewServer(s)
	return s
}

// Close ends the server and whoever listens to it.
func (s *Server) Close() {
	s.CloseClientConnections()
	s.Server.Close()
}

// ChannelURL is where a sender sends to.
func (s *Server) ChannelURL() string { return s.URL + Channel }

// Connections returns the header of each who listened so far.
func (s *Server) Connections() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heads
}

// Listeners is how many listen now.
func (s *Server) Listeners() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.taken)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream := Channel
	if s.gosmee {
		stream = "/events" + Channel
	}
	switch {
	case r.Method == http.MethodPost && r.URL.Path == Channel:
		s.post(w, r)
	case r.Method == http.MethodGet && r.URL.Path == stream && r.Header.Get("Accept") == "text/event-stream":
		s.stream(w, r)
	default:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !json.Valid(body) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	payload := map[string]any{}
	for name, values := range r.Header {
		payload[strings.ToLower(name)] = values[0]
	}
	payload["host"] = r.Host
	now := time.Now().UnixMilli()
	if s.gosmee {
		payload["timestamp"], payload["bodyB"] = strconv.FormatInt(now, 10), base64.StdEncoding.EncodeToString(body)
	} else {
		if s.Rewrite != nil {
			body = s.Rewrite(body)
		}
		payload["timestamp"], payload["body"], payload["query"] = now, json.RawMessage(body), map[string]string{}
	}
	var data bytes.Buffer
	to := json.NewEncoder(&data)
	to.SetEscapeHTML(s.gosmee)
	_ = to.Encode(payload)
	s.mu.Lock()
	s.next++
	e := entry{data: bytes.TrimSpace(data.Bytes())}
	if s.Durable {
		e.id = fmt.Sprintf("%d-%d", now, s.next)
		s.kept = append(s.kept, e)
	}
	for _, c := range s.taken {
		c <- e
	}
	s.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	last := r.Header.Get("Last-Event-ID")
	if last != "" && (!s.Durable || !strings.Contains(last, "-")) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c := make(chan entry, 10_000)
	s.mu.Lock()
	s.heads = append(s.heads, r.Header)
	found := last == ""
	for _, e := range s.kept {
		if found && last != "" {
			c <- e
		}
		found = found || e.id == last
	}
	s.taken = append(s.taken, c)
	s.mu.Unlock()
	defer s.leave(c)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	count := 0
	if s.gosmee {
		fmt.Fprint(w, "data: {\"message\":\"connected\"}\n\ndata: {\"message\":\"ready\"}\n\n")
	} else {
		fmt.Fprint(w, "id: 0\nevent: ready\ndata: {}\n\n")
	}
	alive := time.NewTicker(100 * time.Millisecond) // 30 s at the real ones
	defer alive.Stop()
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-alive.C:
			count++
			switch {
			case s.Mute:
			case s.gosmee:
				fmt.Fprint(w, ": keepalive\n\n")
			default:
				fmt.Fprintf(w, "id: %d\nevent: ping\ndata: {}\n\n", count)
			}
		case e := <-c:
			count++
			id := e.id
			if !s.gosmee {
				id = strconv.Itoa(count)
			}
			if id != "" {
				fmt.Fprintf(w, "id: %s\n", id)
			}
			fmt.Fprintf(w, "data: %s\n\n", e.data)
		}
	}
}

func (s *Server) leave(c chan entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, one := range s.taken {
		if one == c {
			s.taken = append(s.taken[:i], s.taken[i+1:]...)
			return
		}
	}
}
