package admin

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections have no buffer at all: what is written waits until it is
// read.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestEvents_AReaderThatTakesNothingIsCutOffAndOthersAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed()
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := NewServer(Handler(sample(), Options{Feed: f, Token: []byte("t0ken")}), nil)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()

		connect := func() net.Conn {
			ours, theirs := net.Pipe()
			l.conns <- theirs
			go func() {
				_, _ = ours.Write([]byte("GET " + prefix + "events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t0ken\r\n\r\n"))
			}()
			return ours
		}
		slow, quick := connect(), connect()
		var lines []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for in := bufio.NewScanner(quick); in.Scan(); {
				lines = append(lines, in.Text())
			}
		}()
		in := bufio.NewReader(slow)
		for line := ""; line != "retry: 2000\n"; {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := f.Streams(); got != 2 {
			t.Fatalf("%d streams are open", got)
		}
		number(f, 1)
		time.Sleep(writeWait + time.Second)
		synctest.Wait()
		if got := f.Streams(); got != 1 {
			t.Errorf("%d streams are open, one of which nobody reads", got)
		}
		number(f, 2)
		time.Sleep(10 * beatEvery) // far beyond the server's time limits
		number(f, 3)
		synctest.Wait()
		f.Close()
		synctest.Wait()
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		_ = slow.Close()
		_ = quick.Close()
		<-done
		all := strings.Join(lines, "\n")
		if !strings.Contains(all, "data: 1\n") || !strings.Contains(all, "data: 3\n") || strings.Count(all, ": alive") < 9 {
			t.Errorf("the other one read %q", all)
		}
	})
}
