package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// result is one measurement. Times are milliseconds.
type result struct {
	Requests int
	PerSec   float64
	P50, P99 float64
	CPU      float64 // microseconds of the server's processor time for each request
}

// closedLoop sends requests over so many connections, each as soon as the one before it is
// answered, and fails unless every answer has the status.
func (l *lab) closedLoop(ctx context.Context, p *process, s shot, status, connections int, span time.Duration) (result, error) {
	if err := l.once(ctx, p, s, status); err != nil {
		return result{}, err
	}
	before, began := p.cpu(), time.Now()
	var r result
	var err error
	if l.wrk != "" {
		r, err = l.runWrk(ctx, p, s, status, connections, span)
	} else {
		r, err = attack(ctx, p, s, status, vegeta.Rate{Freq: 0, Per: time.Second}, span, uint64(connections))
	}
	if err != nil {
		return r, fmt.Errorf("load on %s: %w", p.name, err)
	}
	if r.Requests == 0 {
		return r, fmt.Errorf("load on %s: nothing was answered in %v", p.name, time.Since(began))
	}
	r.CPU = (p.cpu() - before).Seconds() * 1e6 / float64(r.Requests)
	return r, nil
}

// openLoop sends requests at a rate, whatever the answers do.
func (l *lab) openLoop(ctx context.Context, p *process, s shot, status, rate int, span time.Duration) (result, error) {
	return attack(ctx, p, s, status, vegeta.Rate{Freq: rate, Per: time.Second}, span, 2000)
}

func attack(ctx context.Context, p *process, s shot, status int, rate vegeta.Rate, span time.Duration, workers uint64) (result, error) {
	header := http.Header{}
	for name, value := range s.headers() {
		header.Set(name, value)
	}
	body := []byte(s.body)
	target := func(t *vegeta.Target) error {
		t.Method, t.URL, t.Body = http.MethodPost, "http://"+p.addr+s.path, body
		t.Header = header.Clone()
		t.Header.Set("X-GitHub-Delivery", s.id())
		return nil
	}
	attacker := vegeta.NewAttacker(vegeta.Workers(min(workers, 64)), vegeta.MaxWorkers(workers), vegeta.Connections(int(workers)),
		vegeta.KeepAlive(true), vegeta.Timeout(30*time.Second))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	var m vegeta.Metrics
	latencies := []time.Duration{}
	for one := range attacker.Attack(target, rate, span, "") {
		m.Add(one)
		latencies = append(latencies, one.Latency)
	}
	m.Close()
	for code, n := range m.StatusCodes {
		if code != strconv.Itoa(status) {
			return result{}, fmt.Errorf("%d answers %s instead of %d (%v)", n, code, status, m.Errors)
		}
	}
	slices.Sort(latencies)
	return result{Requests: len(latencies), PerSec: m.Throughput, P50: percentile(latencies, 50), P99: percentile(latencies, 99)}, ctx.Err()
}

func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[len(sorted)*p/100].Microseconds()) / 1000
}

// wrkScript makes the requests; everything that does not change is put together once.
const wrkScript = `
local body = [==[%s]==]
local head = "POST %s HTTP/1.1\r\nHost: bench\r\n%sContent-Length: " .. #body .. "\r\nX-GitHub-Delivery: "
local tail = "\r\n\r\n" .. body
local seed, n = %d, 0
local same = %t and head .. "%s" .. tail
function request()
  if same then return same end
  n = n + 1
  local x = (n * 2654435761) %% 4294967296
  return head .. string.format("%%08x-%%04x-11ef-8%%03x-%%012x", x, (n * 40503) %% 65536, seed %% 4096, seed + n) .. tail
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\n{"requests":%%d,"us":%%d,"p50":%%f,"p99":%%f,"failed":%%d}\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`

// runWrk runs wrk, which counts as failed only answers from 400 on: a status other than the
// expected one below it was found by the request before.
func (l *lab) runWrk(ctx context.Context, p *process, s shot, status, connections int, span time.Duration) (result, error) {
	var head strings.Builder
	for name, value := range s.headers() {
		head.WriteString(name + ": " + value + `\r\n`)
	}
	script := filepath.Join(l.dir, "shot.lua")
	seed := (origin/1000 + serial.Add(1_000_000)) % (1 << 46)
	if err := os.WriteFile(script, fmt.Appendf(nil, wrkScript, s.body, s.path, head.String(), seed, s.same, theSame), 0o600); err != nil {
		return result{}, err
	}
	out, err := exec.CommandContext(ctx, l.wrk, "-t1", "-c", strconv.Itoa(connections), "-d", fmt.Sprintf("%.0f", max(1, span.Seconds())),
		"--timeout", "30s", "-s", script, "http://"+p.addr).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	var said struct {
		Requests int
		US       float64
		P50, P99 float64
		Failed   int
	}
	if err := json.Unmarshal(out[strings.LastIndex(strings.TrimSpace(string(out)), "\n")+1:], &said); err != nil {
		return result{}, fmt.Errorf("read what wrk says: %w: %s", err, out)
	}
	if said.Failed > 0 && status < 400 {
		return result{}, fmt.Errorf("%d of %d requests failed", said.Failed, said.Requests)
	}
	return result{Requests: said.Requests, PerSec: float64(said.Requests) / said.US * 1e6, P50: said.P50 / 1000, P99: said.P99 / 1000}, nil
}

// once sends one request and wants the status.
func (l *lab) once(ctx context.Context, p *process, s shot, status int) error {
	for attempt := 1; ; attempt++ {
		got, body, err := l.send(ctx, p, s)
		if err != nil || got == status {
			return err
		}
		if attempt == 2 || !s.same { // of a repeated delivery the first is new
			return fmt.Errorf("%s answers %d %s instead of %d", p.name, got, body, status)
		}
	}
}

func (l *lab) send(ctx context.Context, p *process, s shot) (status int, body string, err error) {
	r, err := s.request(ctx, p.addr)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	return answer.StatusCode, strings.TrimSpace(string(text)), err
}
