package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Note is what nodes tell each other. It may be lost: everything it says is also found by
// looking.
type Note struct {
	Kind byte    // of the Note constants
	IDs  []int64 // Seqs of jobs or ids of nodes
}

// The kinds of notes.
const (
	NoteJobs     = 'j' // jobs by Seq: they wait now, or were moved by somebody but the leader
	NoteReleased = 'r' // jobs by Seq: their tickets are gone
	NoteTickets  = 't' // nodes: they have other tickets now
	NotePauses   = 'p' // what is paused has changed
	NoteNodes    = 'n' // a node has come or gone, or nobody leads
	NoteConfig   = 'c' // there is another configuration in the store
	// Nodes that were asked, questions that were answered, and what happened, by Happened.
	NoteQuestions = 'q'
	NoteAnswers   = 'a'
	NoteHappened  = 'h'
)

// notePayload is the most that PostgreSQL carries.
const notePayload = 7900

// Tell sends a note to every node.
func (s *Store) Tell(ctx context.Context, n Note) error {
	var b strings.Builder
	send := func() error {
		_, err := s.side.Exec(ctx, "SELECT pg_notify($1, $2)", s.channel, s.sender+string(n.Kind)+b.String())
		b.Reset()
		return err
	}
	for _, id := range n.IDs {
		if b.Len() > notePayload-20 {
			if err := send(); err != nil {
				return err
			}
		}
		b.WriteString(strconv.FormatInt(id, 36) + ",")
	}
	return send()
}

// Listen calls heard for each note of others until ctx ends, and connected each time that notes may have
// been lost before, also at first.
func (s *Store) Listen(ctx context.Context, connected func(), heard func(Note)) error {
	conn, err := s.target.connect(ctx, connectWithin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel}.Sanitize()); err != nil {
		return err
	}
	connected()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if strings.HasPrefix(n.Payload, s.sender) {
			continue // it knows what it said
		}
		if note, ok := parseNote(n.Payload); ok {
			heard(note)
		}
	}
}

// senderLen is how much of a note says who sent it.
const senderLen = 8

func parseNote(payload string) (n Note, ok bool) {
	if len(payload) <= senderLen {
		return n, false
	}
	n.Kind = payload[senderLen]
	for _, word := range strings.FieldsFunc(payload[senderLen+1:], func(r rune) bool { return r == ',' }) {
		id, err := strconv.ParseInt(word, 36, 64)
		if err != nil {
			return n, false
		}
		n.IDs = append(n.IDs, id)
	}
	return n, true
}
