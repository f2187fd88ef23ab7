package ui_test

import (
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// TestBrowser_ShowsWhichNodesThereAre has a daemon that leads, and beside it lives of other nodes, which say
// of themselves what daemons do.
func TestBrowser_ShowsWhichNodesThereAre(t *testing.T) {
	url := postgrestest.Schema(t)
	s := serveOn(t, url, "node: {name: alpha, labels: [web, edge], lease: 2s}\n"+hooks)
	digest := ""
	within(t, "the daemon to lead", func() bool {
		nodes, err := s.client.Nodes(t.Context())
		if err != nil || len(nodes) != 1 || !nodes[0].Leads {
			return false
		}
		digest = nodes[0].Config
		return true
	})
	db, err := postgres.Open(t.Context(), url, postgres.Options{Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	join := func(name, state, config string, lease time.Duration) int64 {
		t.Helper()
		id, err := db.Register(t.Context(), postgres.Node{Name: name, Labels: []string{"web"}, Workers: 8, Lease: lease, Config: config, Version: "v1.2.3"})
		if err == nil {
			err = db.Beat(t.Context(), id, state, config)
		}
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	join("bravo", "up", digest, time.Hour)
	join("charlie", "draining", digest, time.Hour)
	join("delta", "up", "0123456789ab", time.Hour)
	join("echo", "up", digest, 200*time.Millisecond) // nobody beats for it
	if err := db.Leave(t.Context(), join("foxtrot", "up", digest, time.Hour)); err != nil {
		t.Fatal(err)
	}
	join("golf<b>", "up", digest, time.Hour) // a name is text

	b := s.open()
	b.logIn()
	b.click(`nav a[href="/nodes"]`)
	b.sees("main h1", "Nodes")
	b.sees("#sum", "alpha leads")
	b.sees(".r-bad", "1 node has another configuration than the leader")
	for node, state := range map[string]string{"alpha": "up, leads", "bravo": "up", "charlie": "draining", "delta": "up"} {
		b.sees(`#nodes > .panel tr[data-node="`+node+`"] .c-state`, state)
	}
	b.sees(`tr[data-node=delta]`, "differs")
	b.sees(`tr[data-node=alpha]`, "web, edge")
	if drifting := value[int](b, `[...document.querySelectorAll("tr[data-node]")].filter(r => r.textContent.includes("differs")).length`); drifting != 1 {
		t.Errorf("%d nodes are said to differ", drifting)
	}
	b.waitFor("the silent node to be taken over, and the page to say so by itself", `document.querySelector("#ended tr[data-node=echo] .st-bad")`)
	b.click("#ended summary")
	b.waitFor("what was opened to stay open", `document.getElementById("ended").open && performance.getEntriesByType("resource").filter(e => e.name.includes("part=nodes")).length > 3 && document.getElementById("ended").open`)
	b.sees("#ended tr[data-node=foxtrot] .c-state", "left")
	b.sees("#ended tr[data-node=echo] .c-state", "silent")
	b.check()
}
