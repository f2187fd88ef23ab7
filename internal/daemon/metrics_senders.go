package daemon

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/pull"
)

// What Prometheus is told of sources.
var (
	sourceUpDesc      = prometheus.NewDesc("tenterhook_source_connected", "1 while the source of a hook's deliveries is connected.", []string{"hook", "source"}, nil)
	sourceTakenDesc   = prometheus.NewDesc("tenterhook_source_taken_total", "Deliveries that a source gave.", []string{"hook", "source"}, nil)
	sourceRefusedDesc = prometheus.NewDesc("tenterhook_source_refused_total", "Deliveries of a source that were not genuine, or could not be read.", []string{"hook", "source"}, nil)
	sourceHeldDesc    = prometheus.NewDesc("tenterhook_source_held", "Deliveries that wait at the source, where it says.", []string{"hook", "source"}, nil)
	sourceLastDesc    = prometheus.NewDesc("tenterhook_source_last_timestamp_seconds", "When the last delivery of a source came.", []string{"hook", "source"}, nil)
	sourceLostDesc    = prometheus.NewDesc("tenterhook_source_lost_total", "How often the connection to a source was lost.", []string{"hook", "source"}, nil)
)

// Describe implements prometheus.Collector.
func (*pulls) Describe(c chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{sourceUpDesc, sourceTakenDesc, sourceRefusedDesc, sourceHeldDesc, sourceLastDesc, sourceLostDesc} {
		c <- desc
	}
}

// Collect implements prometheus.Collector. A daemon that leaves the sources to another has none: it
// is not that they are not connected.
func (p *pulls) Collect(c chan<- prometheus.Metric) {
	if !p.leads() {
		return
	}
	p.each(func(h *hook.Hook, s pull.State) {
		tell := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64) {
			c <- prometheus.MustNewConstMetric(desc, kind, v, h.Name, h.Pull.Kind)
		}
		up := 0.0
		if !s.Connected.IsZero() {
			up = 1
		}
		tell(sourceUpDesc, prometheus.GaugeValue, up)
		tell(sourceTakenDesc, prometheus.CounterValue, float64(s.Taken))
		tell(sourceRefusedDesc, prometheus.CounterValue, float64(s.Refused))
		tell(sourceLostDesc, prometheus.CounterValue, float64(s.Losses))
		if s.Held >= 0 {
			tell(sourceHeldDesc, prometheus.GaugeValue, float64(s.Held))
		}
		if !s.Last.IsZero() {
			tell(sourceLastDesc, prometheus.GaugeValue, seconds(s.Last))
		}
	})
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// heldCollector tells of what is held when it is asked.
type heldCollector struct{ d *Daemon }

// What Prometheus is told of held deliveries and of who takes them.
var (
	heldDesc         = prometheus.NewDesc("tenterhook_held_deliveries", "Held deliveries that wait for a taker, that a taker has (taken) and has not acknowledged, or that one refused, by state.", []string{"hook", "state"}, nil)
	heldOldestDesc   = prometheus.NewDesc("tenterhook_held_oldest_seconds", "For how long the held delivery has waited that waits longest; 0 without one.", []string{"hook"}, nil)
	heldMostDesc     = prometheus.NewDesc("tenterhook_held_limit", "How many deliveries a hook holds at most.", []string{"hook"}, nil)
	heldLostDesc     = prometheus.NewDesc("tenterhook_held_lost_total", "Held deliveries that retention deleted while they waited for a taker, or after one had refused them.", []string{"hook", "state"}, nil)
	takerHasDesc     = prometheus.NewDesc("tenterhook_taker_deliveries", "Held deliveries that a taker has and has not acknowledged.", []string{"hook", "taker"}, nil)
	takerSeenDesc    = prometheus.NewDesc("tenterhook_taker_seen_timestamp_seconds", "When a taker last asked for held deliveries of a hook.", []string{"hook", "taker"}, nil)
	takerTakenDesc   = prometheus.NewDesc("tenterhook_taker_taken_total", "Held deliveries that a taker acknowledged.", []string{"hook", "taker"}, nil)
	takerRefusedDesc = prometheus.NewDesc("tenterhook_taker_refused_total", "Held deliveries that a taker refused.", []string{"hook", "taker"}, nil)
)

// Describe implements prometheus.Collector.
func (heldCollector) Describe(c chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{heldDesc, heldOldestDesc, heldMostDesc, heldLostDesc, takerHasDesc, takerSeenDesc, takerTakenDesc, takerRefusedDesc} {
		c <- desc
	}
}

// Collect implements prometheus.Collector.
func (h heldCollector) Collect(c chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	count := func(desc *prometheus.Desc, v int64, labels ...string) {
		c <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	for _, s := range h.d.held() {
		gauge(heldDesc, float64(s.Waiting-s.Taken), s.Hook, "waiting")
		gauge(heldDesc, float64(s.Taken), s.Hook, "taken")
		gauge(heldDesc, float64(s.Refused), s.Hook, "refused")
		gauge(heldMostDesc, float64(s.Most), s.Hook)
		oldest := 0.0
		if !s.OldestAt.IsZero() {
			oldest = max(0, time.Since(s.OldestAt.Time).Seconds())
		}
		gauge(heldOldestDesc, oldest, s.Hook)
		for _, state := range []job.HeldState{job.HeldWaiting, job.HeldRefused} {
			count(heldLostDesc, h.d.untaken.number(s.Hook, state), s.Hook, string(state))
		}
		for _, t := range s.Takers {
			gauge(takerHasDesc, float64(t.Has), s.Hook, t.Name)
			count(takerTakenDesc, t.Taken, s.Hook, t.Name)
			count(takerRefusedDesc, t.Refused, s.Hook, t.Name)
			if !t.SeenAt.IsZero() {
				gauge(takerSeenDesc, seconds(t.SeenAt.Time), s.Hook, t.Name)
			}
		}
	}
}
