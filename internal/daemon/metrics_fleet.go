package daemon

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

// fleetCollector reads how the nodes are, as this one knows it, when it is asked. Alone it has
// nothing to say.
type fleetCollector struct{ d *Daemon }

var (
	nodesDesc  = prometheus.NewDesc("tenterhook_nodes", "Daemons on the database that are up or draining, or whose jobs are not taken over yet, by state.", []string{"state"}, nil)
	driftDesc  = prometheus.NewDesc("tenterhook_nodes_config_drift", "Daemons that are up and have another configuration than the one that leads.", nil, nil)
	leadsDesc  = prometheus.NewDesc("tenterhook_node_leads", "1 when this daemon decides for all.", nil, nil)
	silentDesc = prometheus.NewDesc("tenterhook_node_lease_age_seconds", "For how long the database has not heard of this daemon; at the lease others take its jobs over.", nil, nil)
	leaseDesc  = prometheus.NewDesc("tenterhook_node_lease_seconds", "The lease of this daemon.", nil, nil)
	clockDesc  = prometheus.NewDesc("tenterhook_node_clock_offset_seconds", "By how much the clock of this daemon is ahead of the database's.", nil, nil)
)

// Describe implements prometheus.Collector.
func (fleetCollector) Describe(c chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{nodesDesc, driftDesc, leadsDesc, silentDesc, leaseDesc, clockDesc} {
		c <- desc
	}
}

// Collect implements prometheus.Collector.
func (f fleetCollector) Collect(c chan<- prometheus.Metric) {
	nodes := f.d.fleet()
	if nodes == nil {
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	states, drift := map[string]int{}, 0
	for _, n := range admin.NewNodes(nodes.Nodes()) {
		states[n.State]++
		if n.Differs {
			drift++
		}
	}
	for _, state := range store.NodeStates {
		gauge(nodesDesc, float64(states[state]), state)
	}
	leads := 0.0
	if nodes.Leads() {
		leads = 1
	}
	silent, lease := nodes.Age()
	gauge(driftDesc, float64(drift))
	gauge(leadsDesc, leads)
	gauge(silentDesc, silent.Seconds())
	gauge(leaseDesc, lease.Seconds())
	gauge(clockDesc, nodes.Clock().Seconds())
}
