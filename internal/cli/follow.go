package cli

import (
	"bytes"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// follow prints a job's output as it grows, attempt after attempt, from the beginning of what is
// kept until the job has ended. It fails, without a further word, when the job did not succeed.
func follow(e *env, from source, id string) error {
	f := &follower{env: e, from: from, id: id}
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	for {
		o, err := from.Output(e.ctx, id, 0)
		if err != nil {
			return f.close(err)
		}
		if err := f.show(o); err != nil {
			return f.close(err)
		}
		if o.State.Terminal() {
			if err := f.close(nil); err != nil {
				return err
			}
			e.say("the job has ended: %s", e.err.paint(statePaint(o.State), printable(string(o.State))))
			if o.State != job.Succeeded {
				return said(exitFailed)
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			return f.close(e.ctx.Err())
		}
	}
}

// follower is how far a job's output has been printed.
type follower struct {
	*env
	from source
	id   string

	attempt int    // 0 before the first
	offset  int64  // in all that the attempt wrote
	held    []byte // for a terminal: the beginning of a sequence or character that is not there in full
	colored bool   // the terminal is in a colour of the output
}

// show prints what is new of the attempt that is shown, and of those after it.
func (f *follower) show(o admin.Output) error {
	for f.attempt != 0 && f.attempt < o.Attempt {
		last, err := f.from.Output(f.ctx, f.id, f.attempt) // it may have written more before it ended
		if err != nil {
			return err
		}
		if err := f.print(last.Body); err != nil {
			return err
		}
		if err := f.close(nil); err != nil {
			return err
		}
		f.attempt, f.offset = f.attempt+1, 0
		f.say("attempt %d", f.attempt)
	}
	f.attempt = o.Attempt
	return f.print(o.Body)
}

// print prints what kept has behind the offset.
func (f *follower) print(kept []byte) error {
	head, left, tail := admin.Parts(kept)
	var out []byte
	if f.offset < int64(len(head)) {
		out = append(out, head[f.offset:]...)
		f.offset = int64(len(head))
	}
	begin := int64(len(head)) + left
	if f.offset < begin && left > 0 {
		out = fmt.Appendf(out, "\n[… %d bytes left out …]\n", begin-f.offset)
		f.offset = begin
	}
	if end := begin + int64(len(tail)); f.offset < end {
		out = append(out, tail[f.offset-begin:]...)
		f.offset = end
	}
	return f.write(out)
}

// write passes output on. For a terminal it holds back an end that would be taken for something
// else without what follows.
func (f *follower) write(b []byte) error {
	if !f.out.terminal {
		_, err := f.stdout.Write(b)
		return err
	}
	b = append(f.held, b...)
	settled := len(b) - unsettled(b)
	f.held = bytes.Clone(b[settled:])
	f.colored = f.colored || colors.Match(b[:settled])
	_, err := f.stdout.Write([]byte(printableColors(string(b[:settled]))))
	return err
}

// close writes what is held back, and gives the terminal its own colour back. It returns err, or
// its own error when there is none.
func (f *follower) close(err error) error {
	rest := printableColors(string(f.held))
	if f.colored {
		rest += "\x1b[0m"
	}
	f.held, f.colored = nil, false
	if rest == "" {
		return err
	}
	if _, writeErr := f.stdout.Write([]byte(rest)); err == nil {
		err = writeErr
	}
	return err
}

// begunSequence is a colour of which the end is missing. Its length is bounded, so that output
// without an end does not wait for one.
var begunSequence = regexp.MustCompile("\x1b(\\[[0-9;:]{0,32})?$")

// unsettled is how many bytes at the end of b could be the beginning of a colour, a character or
// the end of a line.
func unsettled(b []byte) int {
	if at := begunSequence.FindIndex(b[max(0, len(b)-40):]); at != nil {
		return at[1] - at[0]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if utf8.RuneStart(b[len(b)-n]) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
