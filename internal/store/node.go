package store

import "time"

// Node is one life of a daemon on a store that several share.
type Node struct {
	ID        int64
	Name      string
	Labels    []string
	Workers   int
	Lease     time.Duration // of silence, after which its jobs are taken over
	State     string        // up, draining, left, silent (taken over) or replaced (by one of its name)
	Beat      int64         // changes while it lives
	BeatAt    time.Time     // by the database's clock, for people
	StartedAt time.Time     // the same
	Config    string        // digest
	Version   string
	Clock     time.Duration // by how much its clock is ahead of the database's
	Listens   bool          // somebody follows what happens there
	Tickets   int           // jobs that it was given; filled by reads
	Leads     bool          // the same
}

// NodeStates lists the states of a node in the order a person reads them.
var NodeStates = []string{"up", "draining", "left", "silent", "replaced"}
