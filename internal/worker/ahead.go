package worker

import (
	"context"
	"runtime"
	"slices"

	"github.com/tenterhook/tenterhook/internal/job"
)

// What is read ahead: while the workers are busy, what the next jobs are made of is read, many in
// one go. A worker that becomes free can then begin at once, and its start mark is committed
// together with the end of the job before.
const (
	aheadJobs  = 16
	aheadLow   = 4       // so many of them are ready, or it is read again
	aheadBytes = 1 << 20 // of bodies
)

// readAhead reads what take asks for, until fetch ends. What it cannot read, the attempt will read
// itself, and say so.
func (p *Pool) readAhead(fetch context.Context) {
	for {
		select {
		case <-p.ahead:
		case <-fetch.Done():
			return
		}
		missing, room := p.missing()
		if len(missing) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(fetch, tryWithin)
		found, err := p.o.Store.Inputs(ctx, missing, room)
		cancel()
		if err != nil {
			continue
		}
		p.mu.Lock()
		for _, id := range missing {
			p.ready[id] = nil // unless it is found: too large, or not there
		}
		for i := range found {
			p.ready[found[i].ID] = &found[i]
		}
		p.mu.Unlock()
	}
}

// company is how many starts and ends are about to be written together while every worker is busy and
// jobs wait: as many workers as there are processors keep those busy, and the others can as well wait
// for each other to share a commit. It is 0 where none can be spared.
func company(workers, processors int) int {
	const each, most = 2, 8 // the end of a job and the start of the next; of all
	if workers < 2*processors {
		return 0
	}
	return min(each*(workers-processors), most)
}

// missing are the deliveries of the next jobs that are not ready, and how many bytes there is room
// for. What is ready and no next job needs is forgotten: jobs were taken or ended otherwise, or
// their rule was paused.
func (p *Pool) missing() (ids []string, room int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := map[string]*job.Delivery{}
	room = aheadBytes
	for _, j := range p.flow.Soon(aheadJobs) {
		d, ok := p.ready[j.Delivery]
		if !ok {
			ids = append(ids, j.Delivery)
			continue
		}
		if _, again := kept[j.Delivery]; !again && d != nil {
			room -= len(d.Body)
		}
		kept[j.Delivery] = d
	}
	p.ready = kept
	slices.Sort(ids)
	return slices.Compact(ids), room
}

// lookAhead asks readAhead for more when the next jobs are not ready, and gives a job what was read
// of its delivery. p.mu is held.
func (p *Pool) lookAhead(r *run) {
	r.input = p.ready[r.job.Delivery]
	soon := p.flow.Soon(aheadLow)
	if len(soon) > 0 && len(p.running) >= p.o.Workers {
		r.company = company(p.o.Workers, runtime.GOMAXPROCS(0))
	}
	for _, j := range soon {
		if _, ok := p.ready[j.Delivery]; !ok {
			poke(p.ahead)
			return
		}
	}
}
