package daemon

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/series"
)

// metrics are the daemon's figures for Prometheus. Labels come from the configuration, never
// from a sender.
type metrics struct {
	registry   *prometheus.Registry
	book       *series.Book // the same over time, for the UI's charts
	deliveries *prometheus.CounterVec
	ack        *prometheus.HistogramVec
	refused    *prometheus.CounterVec
	ruleErrors *prometheus.CounterVec
	jobs       *prometheus.CounterVec
	jobSeconds *prometheus.HistogramVec
	panics     *prometheus.CounterVec
	reloadOK   prometheus.Gauge
	reloadAt   prometheus.Gauge
	secretAt   *prometheus.GaugeVec
	traffic    *traffic

	mu      sync.Mutex
	matched map[secretOf]time.Time
}

// secretOf is a secret of the configuration, by hook and position.
type secretOf struct {
	hook     string
	position int
}

func newMetrics(d *Daemon) *metrics {
	m := &metrics{
		matched:    map[secretOf]time.Time{},
		traffic:    newTraffic(),
		book:       series.New(time.Now()),
		registry:   prometheus.NewRegistry(),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenterhook_deliveries_total", Help: "Verified deliveries, by what became of them."}, []string{"hook", "outcome"}),
		ack: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenterhook_ack_seconds", Help: "Time from the request's head to the answer that it is on disk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"hook"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenterhook_refused_total", Help: "Requests that were not taken, by what the sender was told."}, []string{"hook", "error"}),
		ruleErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenterhook_rule_errors_total", Help: "Rules that could not be evaluated for a delivery, and started nothing.",
		}, []string{"hook", "rule"}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenterhook_jobs_total", Help: "Jobs that ended, by state."}, []string{"hook", "rule", "state"}),
		jobSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenterhook_job_seconds", Help: "How long attempts ran.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 10),
		}, []string{"hook", "rule"}),
		panics:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenterhook_panics_total", Help: "Faults of this program that one delivery, job, page or request to the API ended with; the log says where."}, []string{"where"}),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tenterhook_config_last_reload_successful", Help: "1 when the last reload was taken up."}),
		reloadAt: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tenterhook_config_last_reload_success_timestamp_seconds", Help: "When a reload was last taken up."}),
		secretAt: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tenterhook_secret_last_match_timestamp_seconds", Help: "When a secret last verified a request; position counts from 0 in the configuration."}, []string{"hook", "position"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tenterhook_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": d.options.Version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.deliveries, m.ack, m.refused, m.ruleErrors, m.jobs, m.jobSeconds, m.panics, m.reloadOK, m.reloadAt, m.secretAt, build,
		queueCollector{d}, fleetCollector{d}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return metricsPage{m.registry}
}

func (m *metrics) reload(ok bool) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadAt.SetToCurrentTime()
}

// The counters that alerts look at, of the first mostZeroed hooks of a configuration.
var (
	zeroRefused = []string{"verification_failed", "cannot_store", "queue_full", "busy"}
	zeroJobs    = []job.State{job.Succeeded, job.Failed, job.TimedOut, job.Interrupted, job.Expired}
)

const mostZeroed = 1000

// know makes the counters of hooks 0 that have counted nothing yet. To Prometheus a counter that
// begins with its first event has not increased: no alert would see that one.
func (m *metrics) know(hooks []*hook.Hook) {
	for _, h := range hooks[:min(len(hooks), mostZeroed)] {
		m.deliveries.WithLabelValues(h.Name, string(job.Accepted))
		for _, word := range zeroRefused {
			m.refused.WithLabelValues(h.Name, word)
		}
		for _, r := range h.Rules {
			m.ruleErrors.WithLabelValues(h.Name, r.Name)
			for _, state := range zeroJobs {
				m.jobs.WithLabelValues(h.Name, r.Name, string(state))
			}
		}
	}
}

// panicked counts a panic of one place, which is 0 until then.
func (m *metrics) panicked(where string) func() { return m.panics.WithLabelValues(where).Inc }

// Delivered implements ingress.Observer.
func (m *metrics) Delivered(hook string, outcome job.Outcome, took time.Duration) {
	m.deliveries.WithLabelValues(hook, string(outcome)).Inc()
	m.ack.WithLabelValues(hook).Observe(took.Seconds())
	m.traffic.delivered(outcome, took)
	m.book.Delivered(hook, outcome, took, time.Now())
}

// Collected implements ingress.Observer.
func (m *metrics) Collected(hook string, outcome job.Outcome) {
	m.deliveries.WithLabelValues(hook, string(outcome)).Inc()
	m.traffic.collected(outcome)
	m.book.Delivered(hook, outcome, -1, time.Now()) // nobody waited for an answer
}

// Refused implements ingress.Observer.
func (m *metrics) Refused(hook, reason string) {
	m.refused.WithLabelValues(hook, reason).Inc()
	m.traffic.refuse(reason)
	m.book.Refused(hook, time.Now())
}

// RuleFailed implements ingress.Observer.
func (m *metrics) RuleFailed(hook, rule string) { m.ruleErrors.WithLabelValues(hook, rule).Inc() }

// SecretMatched implements ingress.Observer.
func (m *metrics) SecretMatched(hook string, position int) {
	m.secretAt.WithLabelValues(hook, strconv.Itoa(position)).SetToCurrentTime()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.matched[secretOf{hook, position}] = time.Now()
}

// lastMatch is when a secret last verified a request of this run; zero for never.
func (m *metrics) lastMatch(hook string, position int) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.matched[secretOf{hook, position}]
}

// JobStarted implements worker.Observer.
func (m *metrics) JobStarted(string, string) {}

// JobEnded implements worker.Observer.
func (m *metrics) JobEnded(hook, rule string, state job.State, took time.Duration) {
	m.jobs.WithLabelValues(hook, rule, string(state)).Inc()
	m.jobSeconds.WithLabelValues(hook, rule).Observe(took.Seconds())
	m.book.Ended(hook, state, time.Now())
}

// queueCollector reads the queue when it is asked, so that the figures cannot drift from it.
type queueCollector struct{ d *Daemon }

var queueDesc = prometheus.NewDesc("tenterhook_queue_jobs", "Jobs that have not ended, by state.", []string{"state"}, nil)

var oldestDesc = prometheus.NewDesc("tenterhook_queue_oldest_job_seconds", "For how long the job has waited that waits longest of those whose time has come; 0 without one.", nil, nil)

// Describe implements prometheus.Collector.
func (queueCollector) Describe(c chan<- *prometheus.Desc) { c <- queueDesc; c <- oldestDesc }

// Collect implements prometheus.Collector.
func (q queueCollector) Collect(c chan<- prometheus.Metric) {
	for state, n := range q.d.pool.Counts() {
		c <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(n), string(state))
	}
	waited := time.Duration(0)
	if j, ok := q.d.pool.Oldest(); ok {
		since := j.CreatedAt
		if j.RunAt.After(since) {
			since = j.RunAt
		}
		waited = max(0, time.Since(since))
	}
	c <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, waited.Seconds())
}
