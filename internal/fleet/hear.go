package fleet

import (
	"context"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// heard is told of notes. It does not block: what does not fit is found by looking.
func (l *leader) heard(n postgres.Note) {
	switch n.Kind {
	case postgres.NoteReleased:
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, seq := range n.IDs {
			if one := l.carried[seq]; one != nil {
				poke(one.poke)
			}
		}
	case postgres.NoteNodes:
		poke(l.nudge)
	case postgres.NotePauses:
		poke(l.pauses)
	case postgres.NoteJobs:
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.news)+len(n.IDs) > mostUntold {
			poke(l.look)
			return
		}
		l.news = append(l.news, n.IDs...)
		poke(l.more)
	}
}

// hear takes up jobs that notes tell of, or that looking finds.
func (l *leader) hear(ctx context.Context) {
	for {
		var err error
		select {
		case <-l.more:
			l.mu.Lock()
			news := l.news
			l.news = nil
			l.mu.Unlock()
			err = l.add(ctx, l.read.upTo(news, time.Now()))
		case <-l.pauses:
			err = l.readPauses(ctx)
		case <-l.look:
			if err = l.readPauses(ctx); err == nil {
				err = l.lookForJobs(ctx)
			}
		case <-ctx.Done():
			return
		}
		if err != nil && ctx.Err() == nil {
			l.f.o.Log.Debug("take up jobs", "error", err)
			pause(ctx, 200*time.Millisecond)
			poke(l.look)
		}
	}
}

// most is how many jobs are read at once.
const most = 500

// add takes up jobs by their Seqs, in that order.
func (l *leader) add(ctx context.Context, seqs []int64) error {
	slices.Sort(seqs)
	for part := range slices.Chunk(slices.Compact(seqs), most) {
		l.pool.Watch()
		jobs, err := l.f.o.Store.JobsBySeq(ctx, part)
		if err != nil {
			l.pool.TakeUp(nil) // it watches no longer
			return err
		}
		for i := range jobs {
			jobs[i] = l.f.here(jobs[i])
			l.read.there(jobs[i].Seq)
		}
		// What runs is with a node, which tells of its end.
		l.pool.TakeUp(slices.DeleteFunc(jobs, func(j job.Job) bool { return j.State == job.Running }))
	}
	return nil
}

func (l *leader) readPauses(ctx context.Context) error {
	pauses, err := l.f.o.Store.Pauses(ctx)
	if err == nil {
		l.pool.SetPaused(pauses)
	}
	return err
}

// lookForJobs adds jobs that wait and that nobody told of.
func (l *leader) lookForJobs(ctx context.Context) error {
	var unknown []int64
	err := l.f.o.Store.Waiting(ctx, func(seq int64, id string) {
		if !l.pool.Knows(id) {
			unknown = append(unknown, seq)
		}
	})
	if err != nil {
		return err
	}
	// Read again: what was known when it was read, and has ended since, waits no more. Nobody else
	// could have let one run that was not known.
	return l.add(ctx, unknown)
}

// seqs are the Seqs that were read. A job is read as soon as one that came after it is, whether or
// not its node has told of it: a delivery that was acknowledged before another one was sent is then
// before it in their lane, whatever became of the node that took it.
type seqs struct {
	top  int64               // the highest
	gaps map[int64]time.Time // those below that were not there, and when: they may still be committed
}

// A transaction that has given a job its Seq is committed within longestGap, or never: the server
// ends it before.
const (
	longestGap = 30 * time.Second
	mostGaps   = 10_000
	mostFirst  = 1000 // that a new leader looks at, below the highest
)

// upTo are the Seqs to be read when these are new. All that were never read before are gaps from now
// on, until there says otherwise.
func (s *seqs) upTo(news []int64, now time.Time) []int64 {
	if len(news) == 0 {
		return nil
	}
	for seq, since := range s.gaps {
		if now.Sub(since) > longestGap {
			delete(s.gaps, seq)
			continue
		}
		news = append(news, seq)
	}
	top := max(s.top, slices.Max(news))
	for seq := max(s.top, top-mostGaps) + 1; seq <= top; seq++ {
		news = append(news, seq)
		if len(s.gaps) < mostGaps {
			s.gaps[seq] = now
		}
	}
	s.top = top
	return news
}

// there notes that a job was read.
func (s *seqs) there(seq int64) { delete(s.gaps, seq) }
