package postgres

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// wire stands between a store and its server, and can cut a connection at its next COMMIT: the
// server gets it, and its answer is never passed on.
type wire struct {
	to    string
	armed atomic.Bool
	cuts  atomic.Int64
	all   sync.WaitGroup
}

// through returns the URL of a store that is reached through a wire, until the test ends.
func through(t *testing.T, raw string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(raw)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{to: u.Host}
	w.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.all.Wait() // the store is closed before
	})
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *wire) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var cut atomic.Bool
	var back sync.WaitGroup
	back.Go(func() {
		defer func() { _ = client.Close() }()
		for buf := make([]byte, 64<<10); ; {
			n, err := server.Read(buf)
			if err != nil || cut.Load() {
				return // what answers the COMMIT stays here
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	defer back.Wait()
	for buf := make([]byte, 64<<10); ; {
		n, err := client.Read(buf)
		if err != nil {
			_ = server.Close()
			return
		}
		if bytes.Contains(bytes.ToLower(buf[:n]), []byte("commit\x00")) && w.armed.CompareAndSwap(true, false) {
			cut.Store(true)
			w.cuts.Add(1)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if cut.Load() {
			back.Wait() // for the server's answer: it has committed
			_ = server.Close()
			return
		}
	}
}

// TestAccept_K2_ACommitWhoseAnswerIsLostIsUnknownAndItsCopyIsADuplicate cuts the connection right
// after the server was told to commit.
func TestAccept_K2_ACommitWhoseAnswerIsLostIsUnknownAndItsCopyIsADuplicate(t *testing.T) {
	w, raw := through(t, postgrestest.Schema(t))
	s := open(t, raw, Options{})
	must(t, put(s, newDelivery("before")))
	for _, key := range []string{"k1", "k2", "k3"} {
		w.armed.Store(true)
		d := newDelivery(key)
		if err := put(s, d); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("a commit whose answer is lost: %v", err)
		}
		again := newDelivery(key)
		var r store.Receipt
		eventually(t, "the store to commit again", func() bool {
			var err error
			r, err = s.Accept(t.Context(), again, newJob(again))
			return err == nil
		})
		if !r.Duplicate || r.Delivery != d.ID {
			t.Errorf("the copy was taken: %+v", r)
		}
	}
	jobs, err := s.Jobs(t.Context(), store.Filter{Limit: 100})
	must(t, err)
	if w.cuts.Load() != 3 || len(jobs) != 4 {
		t.Errorf("%d cuts, %d jobs of 4 deliveries", w.cuts.Load(), len(jobs))
	}
}
