package daemon

import (
	"os"
	"regexp"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/fleet"
)

// Node is this daemon among others.
type Node struct {
	Name  string
	Lease time.Duration
}

type nodeSpec struct {
	Name  config.Text    `yaml:"name" doc:"What this daemon is called; no two on a store have the same name." default:"the host's name"`
	Lease *time.Duration `yaml:"lease" doc:"After how much silence the others take its jobs over, 2s to 5m." default:"10s"`
}

// nodeName is what a node can be called: it is a part of file names.
var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func node(spec nodeSpec, file *config.File, d *config.Diagnostics) Node {
	n := Node{Name: spec.Name.Value, Lease: fleet.DefaultLease}
	if n.Name == "" {
		var err error
		if n.Name, err = os.Hostname(); err != nil || !nodeName.MatchString(n.Name) {
			n.Name = "localhost"
		}
	} else if !nodeName.MatchString(n.Name) {
		d.Errorf(spec.Name, "node name wants letters, digits, dots, dashes and underscores, found %q", n.Name)
	}
	set(&n.Lease, spec.Lease)
	if n.Lease < 2*time.Second || n.Lease > 5*time.Minute {
		d.Errorf(file.Root.Find("node", "lease"), "node lease is between 2s and 5m, found %s", n.Lease)
	}
	return n
}
