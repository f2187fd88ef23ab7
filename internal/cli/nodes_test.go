package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

func TestNodes_ComparesConfigurationsWithTheLeaders(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []postgres.Node
		want  []bool // differs
	}{
		{"all the same", []postgres.Node{{State: "up", Config: "a"}, {State: "up", Config: "a", Leads: true}}, []bool{false, false}},
		{"one is behind", []postgres.Node{{State: "up", Config: "old"}, {State: "up", Config: "a", Leads: true}}, []bool{true, false}},
		{"nobody leads", []postgres.Node{{State: "up", Config: "a"}, {State: "up", Config: "b"}}, []bool{false, true}},
		{"who is gone does not count", []postgres.Node{{State: "silent", Config: "old"}, {State: "up", Config: "a"}}, []bool{false, false}},
	} {
		var got []bool
		for _, line := range describeNodes(c.nodes) {
			got = append(got, line.Differs)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}
