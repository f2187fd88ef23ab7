package job

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// chain is n entries, oldest first, that follow after.
func chain(after AuditAnchor, n int) (entries []AuditEntry) {
	for range n {
		e := AuditEntry{At: time.Unix(1, 2345), Who: "uid 0", Action: "retry", Subject: "x", Result: "ok"}
		e.Seal(after)
		entries, after = append(entries, e), AuditAnchor{e.N, e.Hash}
	}
	return entries
}

func checkAll(entries []AuditEntry, anchor AuditAnchor) error {
	var c AuditCheck
	for i := len(entries) - 1; i >= 0; i-- {
		if err := c.Add(entries[i]); err != nil {
			return err
		}
	}
	_, _, err := c.Close(anchor)
	return err
}

func TestAuditEntry_HashIsThatOfTheDocumentedArray(t *testing.T) {
	e := AuditEntry{At: time.Unix(1, 2345), Who: "token <ci>", Remote: "192.0.2.1:1", Action: "pause", Subject: "site/\"a\"", Detail: "d", Result: "ok"}
	e.Seal(AuditAnchor{})
	sum := sha256.Sum256([]byte(`["` + strings.Repeat("0", 64) + `",1,1000002,"token <ci>","192.0.2.1:1","pause","site/\"a\"","d","ok"]`))
	if e.Hash != hex.EncodeToString(sum[:]) {
		t.Errorf("hash %s of %+v", e.Hash, e)
	}
}

func TestAuditCheck_FindsEveryKindOfTampering(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]AuditEntry) ([]AuditEntry, AuditAnchor)
		want   string
	}{
		"nothing":  {func(e []AuditEntry) ([]AuditEntry, AuditAnchor) { return e, AuditAnchor{} }, ""},
		"retained": {func(e []AuditEntry) ([]AuditEntry, AuditAnchor) { return e[2:], AuditAnchor{2, e[1].Hash} }, ""},
		"changed": {
			func(e []AuditEntry) ([]AuditEntry, AuditAnchor) { e[2].Who = "uid 1"; return e, AuditAnchor{} },
			"entry 3 was changed: its hash is not that of its content",
		},
		"changed and sealed again": {func(e []AuditEntry) ([]AuditEntry, AuditAnchor) {
			e[2].Who = "uid 1"
			e[2].Seal(AuditAnchor{2, e[1].Hash})
			return e, AuditAnchor{}
		}, "entry 3 was replaced: entry 4 follows another one"},
		"left out": {
			func(e []AuditEntry) ([]AuditEntry, AuditAnchor) { return append(e[:2:2], e[3:]...), AuditAnchor{} },
			"entry 4 follows entry 2: what was between is gone",
		},
		"cut at the beginning": {
			func(e []AuditEntry) ([]AuditEntry, AuditAnchor) { return e[1:], AuditAnchor{} },
			"entry 2 does not follow entry 0, the last that retention took away",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := checkAll(c.change(chain(AuditAnchor{}, 5))); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSeal_BoundsAndMendsText(t *testing.T) {
	e := AuditEntry{Subject: strings.Repeat("é", 5000), Who: "a\xffb"}
	e.Seal(AuditAnchor{})
	if len(e.Subject) > mostAuditText || e.Who != "a�b" {
		t.Errorf("%d bytes, who %q", len(e.Subject), e.Who)
	}
}
