package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/go-json-experiment/json"
	"github.com/muesli/cancelreader"
	"golang.org/x/term"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// The pace of the screen.
const (
	drawPause = 100 * time.Millisecond // at most so often
	tickEvery = time.Second            // at least so often: times go on
	comeBack  = time.Second            // between two tries to reach a daemon that is gone
)

// The control sequences of the screen: its own page without a cursor, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[2J"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

// clip cuts a line that is too long for the terminal.
func clip(line string, width int) string {
	if width <= 0 {
		return line
	}
	return ansi.Truncate(line, width, "…")
}

// screen shows the board until q is pressed or ctx ends. What it started has ended when it
// returns, and the terminal is as it was.
func (c *jobsTailCmd) screen(ctx context.Context, e *env, client *admin.Client, in, out *os.File) error {
	b := &board{ended: map[job.State]int{}, since: e.now()}
	if err := b.reread(ctx, c, client); err != nil {
		return err
	}
	keys, err := cancelreader.NewReader(in)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	defer keys.Close()
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("open the screen: %w", err)
	}
	fmt.Fprint(out, enterScreen)
	defer func() {
		fmt.Fprint(out, leaveScreen)
		_ = term.Restore(int(in.Fd()), before) // the terminal may be gone
	}()
	ctx, end := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer end()
	defer keys.Cancel()
	all.Go(func() {
		readKeys(keys)
		end()
	})
	events := make(chan admin.Event)
	all.Go(func() { c.follow(ctx, client, events) })
	return c.paint(ctx, e, client, b, out, events)
}

// readKeys returns when a key is pressed that ends the screen, or there are no more.
func readKeys(keys io.Reader) {
	buf := make([]byte, 32)
	for {
		n, err := keys.Read(buf)
		// In raw mode Ctrl-C and Ctrl-D are bytes like any other.
		if err != nil || strings.ContainsAny(string(buf[:n]), "qQ\x03\x04") {
			return
		}
	}
}

// follow passes events on until ctx ends. A stream that breaks off is opened again where it was;
// an event without a kind says that it broke off.
func (c *jobsTailCmd) follow(ctx context.Context, client *admin.Client, events chan<- admin.Event) {
	send := func(e admin.Event) error {
		select {
		case events <- e:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// An id that nobody knows is answered with "missed": what changed before the stream was open is
	// read then.
	last := "none"
	for ctx.Err() == nil {
		err := client.Events(ctx, []string{admin.EventJob}, last, func(e admin.Event) error {
			if e.ID != "" {
				last = e.ID
			}
			return send(e)
		})
		if err == nil || send(admin.Event{Data: []byte(err.Error())}) != nil {
			return
		}
		select {
		case <-time.After(comeBack):
		case <-ctx.Done():
		}
	}
}

// paint draws the board whenever it has changed, the window has, or time has gone on.
func (c *jobsTailCmd) paint(ctx context.Context, e *env, client *admin.Client, b *board, out *os.File, events <-chan admin.Event) error {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	due := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-events:
			c.take(ctx, client, b, event)
			due = true
		case <-resized:
			due = true
		case <-tick.C:
			b.look(ctx, client)
			due = true
		case <-pause.C:
			if due {
				width, height, err := term.GetSize(int(out.Fd()))
				if err != nil {
					return fmt.Errorf("size of the terminal: %w", err)
				}
				if _, err := io.WriteString(out, page(b.draw(e.out, e.now(), width, height))); err != nil {
					return err
				}
				due = false
			}
			pause.Reset(drawPause)
		}
	}
}

// take takes one event up. The first after the daemon was gone brings the whole board anew.
func (c *jobsTailCmd) take(ctx context.Context, client *admin.Client, b *board, event admin.Event) {
	switch event.Kind {
	case "":
		b.note = "the daemon does not answer, trying again: " + string(event.Data)
	case admin.EventMissed:
		if b.reread(ctx, c, client) == nil {
			b.note = ""
		}
	case admin.EventJob:
		var j admin.Job
		if json.Unmarshal(event.Data, &j) == nil && c.wants(&j) {
			b.change(j)
		}
		b.note = ""
	}
}

// look asks how many jobs are in each state, which events do not tell.
func (b *board) look(ctx context.Context, client *admin.Client) {
	bounded, cancel := context.WithTimeout(ctx, tickEvery)
	defer cancel()
	if b.recount(bounded, client) == nil {
		b.note = ""
	}
}

// page is the lines as the terminal takes them in raw mode: each wiped to its end, and what is
// below.
func page(lines []string) string {
	return "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}
