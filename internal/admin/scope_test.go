package admin

import (
	"fmt"
	"strings"
	"testing"
)

func TestScope_EachHasWhatTheOneBeforeHas(t *testing.T) {
	for i, s := range Scopes {
		for k, needed := range Scopes {
			if got := s.Has(needed); got != (i >= k) {
				t.Errorf("%s has %s: %t", s, needed, got)
			}
		}
		if Scope("").Has(s) || Scope("root").Has(s) || s.Has("") || s.Has("root") {
			t.Errorf("a scope that is none stands for %s", s)
		}
	}
}

func TestTokens_OpenWhatTheirScopeIsFor(t *testing.T) {
	b := sample()
	d := open(t, b, Options{Token: []byte("boss"), Tokens: []Token{
		{Name: "board", Secret: []byte("look"), Scope: ScopeRead},
		{Name: "ci", Secret: []byte("push"), Scope: ScopeRun},
		{Name: "root", Secret: []byte("all!"), Scope: ScopeAdmin},
	}})
	for _, c := range []struct {
		method, path string
		allowed      string
	}{
		{"GET", "jobs", "look push all! boss"},
		{"GET", "audit", "look push all! boss"},
		{"POST", "jobs/" + id(11) + "/retry", "push all! boss"},
		{"POST", "jobs/" + id(12) + "/cancel", "push all! boss"},
		{"POST", "hooks/site/pause", "push all! boss"},
		{"POST", "deliveries/" + id(1) + "/replay", "push all! boss"},
		{"POST", "reload", "all! boss"},
	} {
		for _, token := range []string{"look", "push", "all!", "boss"} {
			got := d.ask(c.method, prefix+c.path, "Authorization: Bearer "+token)
			want := strings.Contains(c.allowed, token)
			if (got.status < 300) != want || !want && got.status != 403 {
				t.Errorf("%s %s with %s: %d %s", c.method, c.path, token, got.status, got.body)
			}
		}
	}
	var who []string
	for _, e := range b.audits {
		if e.Action == "reload" {
			who = append(who, e.Who)
		}
	}
	if fmt.Sprint(who) != "[token root token]" {
		t.Errorf("reloaded by %q", who)
	}
	if got := d.ask("GET", prefix+"jobs", "Authorization: Bearer nope"); got.status != 401 {
		t.Errorf("a wrong token: %d", got.status)
	}
}

func TestTokens_ScopedOnesCloseALoopbackListenerToo(t *testing.T) {
	d := open(t, sample(), Options{Tokens: []Token{{Name: "board", Secret: []byte("look"), Scope: ScopeRead}}})
	if got := d.ask("GET", prefix+"jobs"); got.status != 401 {
		t.Errorf("without a token: %d", got.status)
	}
}
