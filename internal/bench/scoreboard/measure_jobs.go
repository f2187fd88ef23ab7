package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// measureOpenLoop sends 500 requests a second, whatever happens, while every worker is busy with
// processes and more of them wait.
func measureOpenLoop(ctx context.Context, l *lab, b *board) error {
	s := &series{name: "500 requests a second, open loop, workers saturated"}
	for range l.rounds {
		p, err := l.ours(ctx, setup{workers: 4})
		if err != nil {
			return err
		}
		r, err := l.saturated(ctx, p)
		p.stop()
		if err != nil {
			return err
		}
		s.rounds = append(s.rounds, r)
	}
	b.add(s)
	b.atMost("500 requests a second, workers saturated with processes: p99", s.median().P99, 10, "%.1f ms")
	return nil
}

func (l *lab) saturated(ctx context.Context, p *process) (result, error) {
	// Enough that wait for the workers to be busy to the end: they run some 3,000 a second.
	backlog := int(4000*l.span.Seconds()) * 2
	if err := l.fill(ctx, p, backlog); err != nil {
		return result{}, err
	}
	r, err := l.openLoop(ctx, p, genuine("/site"), 202, 500, 2*l.span)
	if err != nil {
		return r, err
	}
	if left, err := p.waiting(ctx); err != nil || left == 0 {
		return r, fmt.Errorf("the workers were not saturated to the end: %w", err)
	}
	return r, nil
}

// fill stores a number of jobs while the hook is paused, and lets them go.
func (l *lab) fill(ctx context.Context, p *process, n int) error {
	if err := p.post(ctx, "hooks/site/pause"); err != nil {
		return err
	}
	if err := l.deliver(ctx, p, genuine("/site"), n); err != nil {
		return err
	}
	return p.post(ctx, "hooks/site/resume")
}

// deliver sends exactly n deliveries.
func (l *lab) deliver(ctx context.Context, p *process, s shot, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	errs := make(chan error, 32)
	for range cap(errs) {
		go func() {
			var err error
			for left.Add(-1) >= 0 && err == nil {
				err = sendOne(ctx, client, p, s)
			}
			errs <- err
		}()
	}
	var first error
	for range cap(errs) {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func sendOne(ctx context.Context, client *http.Client, p *process, s shot) error {
	r, err := s.request(ctx, p.addr)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s answers %s", p.name, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body) // else the connection is not used again
	return err
}

// measureJobs runs /bin/true as whole jobs: start mark on disk, command, end on disk. Beside it
// as many runs of it in a bare loop of the same parallelism, and the peer, which starts them
// unseen: it is given as many requests and the time until its last process has ended.
//
// The bare loop gives the program /dev/null and keeps nothing; what it takes to keep the output, as
// a job does, and what more workers make of both, stands beside it as facts.
func measureJobs(ctx context.Context, l *lab, b *board) error {
	const workers = 4 // the default on two cores
	if err := l.jobsAndLoop(ctx, b, workers); err != nil {
		return err
	}
	for _, more := range []int{8, 16} {
		if err := l.jobsOfMore(ctx, b, more); err != nil {
			return err
		}
	}
	return nil
}

// jobsOfMore runs the same with more at once, for the facts.
func (l *lab) jobsOfMore(ctx context.Context, b *board, workers int) error {
	n := pick(0, l.short, 1500, 6000)
	whole, loop := &series{}, &series{}
	for range l.rounds {
		r, err := l.wholeJobs(ctx, workers, n)
		if err != nil {
			return err
		}
		whole.rounds = append(whole.rounds, r)
		loop.rounds = append(loop.rounds, bareLoop(workers, n, false))
	}
	b.fact(fmt.Sprintf("whole jobs, against a bare os/exec loop, %d at once", workers), "%.2f × (%.0f/s, %.0f/s)", ratio(whole, loop), whole.median().PerSec, loop.median().PerSec)
	return nil
}

func (l *lab) jobsAndLoop(ctx context.Context, b *board, workers int) error {
	n := pick(0, l.short, 1500, 6000)
	whole := &series{name: fmt.Sprintf("whole jobs of /bin/true, %d workers", workers)}
	loop := &series{name: fmt.Sprintf("bare os/exec loop of /bin/true, %d at once", workers)}
	keeping := &series{name: fmt.Sprintf("the same loop that keeps the output, %d at once", workers)}
	peer := &series{name: "webhook: /bin/true until the last has ended"}
	for range l.rounds {
		r, err := l.wholeJobs(ctx, workers, n)
		if err != nil {
			return err
		}
		whole.rounds = append(whole.rounds, r)
		loop.rounds = append(loop.rounds, bareLoop(workers, n, false))
		keeping.rounds = append(keeping.rounds, bareLoop(workers, n, true))
		if l.peer != "" {
			rate, err := l.peerJobs(ctx, n)
			if err != nil {
				return err
			}
			peer.rounds = append(peer.rounds, result{Requests: n, PerSec: rate})
		}
	}
	b.add(whole)
	b.add(loop)
	b.add(keeping)
	b.atLeast("whole jobs of /bin/true, against a bare os/exec loop", ratio(whole, loop), 0.8, "%.2f ×")
	b.fact("processor time of a whole job with its process, against one of the bare loop", "%.2f ×", whole.median().CPU/loop.median().CPU)
	b.fact("whole jobs, against the loop that keeps the output", "%.2f ×", ratio(whole, keeping))
	if l.peer != "" {
		b.add(peer)
		b.fact("whole jobs, against the peer's runs", "%.2f ×", ratio(whole, peer))
	}
	return nil
}

func (l *lab) wholeJobs(ctx context.Context, workers, n int) (result, error) {
	p, err := l.ours(ctx, setup{workers: workers})
	if err != nil {
		return result{}, err
	}
	defer p.stop()
	if err := l.fill(ctx, p, n); err != nil {
		return result{}, err
	}
	before, began := p.cpuWithChildren(), time.Now()
	ended, err := p.awaitEnds(ctx, n)
	return each(n, ended.Sub(began), p.cpuWithChildren()-before), err
}

// awaitEnds waits until a daemon has logged the end of n jobs, each of which is on disk by then, and
// returns when that was. To ask the daemon would cost it some 1 ms each time, which nobody asks of
// the bare loop.
func (p *process) awaitEnds(ctx context.Context, n int) (time.Time, error) {
	log, err := os.Open(filepath.Join(p.dir, "log"))
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = log.Close() }()
	var rest []byte
	for deadline := time.Now().Add(2 * time.Minute); ctx.Err() == nil && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		more, err := io.ReadAll(log)
		if err != nil {
			return time.Time{}, err
		}
		rest = append(rest, more...)
		whole := bytes.LastIndexByte(rest, '\n') + 1
		n -= bytes.Count(rest[:whole], []byte(`"msg":"job succeeded"`))
		rest = rest[whole:]
		if n <= 0 {
			return time.Now(), nil
		}
	}
	return time.Time{}, errors.Join(fmt.Errorf("%d jobs have not ended", n), ctx.Err())
}

// each is what n things cost each.
func each(n int, took, cpu time.Duration) result {
	return result{Requests: n, PerSec: float64(n) / took.Seconds(), CPU: float64(cpu.Microseconds()) / float64(n)}
}

// bareLoop runs /bin/true n times, so many at once, and keeps what it says or not.
func bareLoop(parallel, n int, keep bool) result {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	before, began := ownCPU(), time.Now()
	for range parallel {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if cmd := exec.Command("/bin/true"); keep {
					_, _ = cmd.CombinedOutput()
				} else {
					_ = cmd.Run()
				}
			}
		})
	}
	all.Wait()
	return each(n, time.Since(began), ownCPU()-before)
}

// ownCPU is the processor time of this program and of the processes it started that have ended.
func ownCPU() (sum time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if syscall.Getrusage(who, &used) == nil {
			sum += time.Duration(used.Utime.Nano() + used.Stime.Nano())
		}
	}
	return sum
}

func (l *lab) peerJobs(ctx context.Context, n int) (float64, error) {
	p, err := l.startPeer(ctx, "refs/heads/main")
	if err != nil {
		return 0, err
	}
	defer p.stop()
	began := time.Now()
	if err := l.deliver(ctx, p, genuine("/hooks/site"), n); err != nil {
		return 0, err
	}
	for children(p.pid()) > 0 {
		time.Sleep(time.Millisecond)
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// children is how many child processes a process has.
func children(pid int) (n int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		n += len(strings.Fields(string(list)))
	}
	return n
}

// post asks the daemon's admin side for something.
func (p *process) post(ctx context.Context, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tenterhook/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	answer, err := p.admin.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %s", path, answer.Status)
	}
	return nil
}

// get reads a document of the daemon's admin side.
func (p *process) get(ctx context.Context, path string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://tenterhook/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	answer, err := p.admin.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// waiting is how many jobs have not ended.
func (p *process) waiting(ctx context.Context) (n int, err error) {
	var status struct{ Jobs map[string]int }
	err = p.get(ctx, "status", &status)
	for _, count := range status.Jobs {
		n += count
	}
	return n, err
}

// measureSlowDisk delays every fdatasync by 5 ms, with strace's injection into the real program.
func measureSlowDisk(ctx context.Context, l *lab, b *board) error {
	if l.strace == "" {
		b.fact("a disk that takes 5 ms longer to sync", "not measured: strace is not installed")
		return nil
	}
	wrap := []string{l.strace, "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=5000"}
	slow := func(conns int) func(context.Context) (result, error) {
		return func(ctx context.Context) (result, error) {
			p, err := l.pausedDaemon(ctx, setup{wrap: wrap})
			if err != nil {
				return result{}, err
			}
			defer p.stop()
			return l.closedLoop(ctx, p, genuine("/site"), 202, conns, l.span)
		}
	}
	one := &contender{series: &series{name: "a disk 5 ms slower, one transaction for each (1 connection)"}, conns: 1, run: slow(1)}
	many := &contender{series: &series{name: "a disk 5 ms slower, stored with one job, 64 connections"}, conns: 64, run: slow(64)}
	if err := takeTurns(ctx, l.rounds, []*contender{one, many}); err != nil {
		return err
	}
	b.add(one.series)
	b.add(many.series)
	b.atLeast("a disk 5 ms slower: 64 connections, against one transaction each", ratio(many.series, one.series), 25, "%.0f ×")
	return nil
}

func clock(fn func() error) (float64, error) {
	began := time.Now()
	err := fn()
	return float64(time.Since(began).Microseconds()) / 1000, err
}
