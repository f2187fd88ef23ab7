package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestNodes_ComparesConfigurationsWithTheLeaders(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []store.Node
		want  []bool // differs
	}{
		{"all the same", []store.Node{{State: "up", Config: "a"}, {State: "up", Config: "a", Leads: true}}, []bool{false, false}},
		{"one is behind", []store.Node{{State: "up", Config: "old"}, {State: "up", Config: "a", Leads: true}}, []bool{true, false}},
		{"nobody leads", []store.Node{{State: "up", Config: "a"}, {State: "up", Config: "b"}}, []bool{false, true}},
		{"who is gone does not count", []store.Node{{State: "silent", Config: "old"}, {State: "up", Config: "a"}}, []bool{false, false}},
	} {
		var got []bool
		for _, line := range admin.NewNodes(c.nodes) {
			got = append(got, line.Differs)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}
