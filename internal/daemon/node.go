package daemon

import (
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/fleet"
	"github.com/tenterhook/tenterhook/internal/hook"
)

// Node is this daemon among others.
type Node struct {
	Name   string
	Labels []string
	Lease  time.Duration
}

func (n Node) same(other Node) bool {
	return n.Name == other.Name && n.Lease == other.Lease && slices.Equal(n.Labels, other.Labels)
}

type nodeSpec struct {
	Name   config.Text    `yaml:"name" doc:"What this daemon is called; no two on a store have the same name." default:"the host's name"`
	Labels []config.Text  `yaml:"labels" doc:"What on: of a rule knows this daemon by, such as web."`
	Lease  *time.Duration `yaml:"lease" doc:"After how much silence the others take its jobs over, 2s to 5m." default:"10s"`
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
	n.Labels = labels(spec.Labels, d)
	set(&n.Lease, spec.Lease)
	if n.Lease < 2*time.Second || n.Lease > 5*time.Minute {
		d.Errorf(file.Root.Find("node", "lease"), "node lease is between 2s and 5m, found %s", n.Lease)
	}
	return n
}

// mostLabels bounds the labels of a node.
const mostLabels = 50

func labels(texts []config.Text, d *config.Diagnostics) (all []string) {
	for i, t := range texts {
		switch {
		case i >= mostLabels:
			d.Errorf(t, "a node has at most %d labels, found %d", mostLabels, len(texts))
			return all
		case !hook.IsLabel(t.Value):
			d.Errorf(t, "a label wants letters, digits, dots, dashes and underscores, found %q", t.Value)
		case slices.Contains(all, t.Value):
			d.Errorf(t, "the label %q is there twice", t.Value)
		}
		all = append(all, t.Value)
	}
	return all
}
