package ui

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/series"
	"github.com/tenterhook/tenterhook/internal/store"
)

// hooksData is what the list of hooks shows.
type hooksData struct {
	Hooks []health
	Now   time.Time
}

func (u *UI) hooks(*http.Request, *visit) (*view, error) {
	status := u.backend.Status()
	data := hooksData{Hooks: u.healths(u.backend.Hooks(), series.Spans[1], &status), Now: u.now()}
	return &view{name: "hooks", title: "Hooks", nav: "hooks", data: data}, nil
}

// hookData is what the page of one hook shows.
type hookData struct {
	health
	senderSide
	Charts  []chart
	Spans   []option
	Secret  []secretUse
	Latest  []deliveryRow
	Address string // where deliveries come in
	Now     time.Time
}

// secretUse is when one of a hook's secrets last verified a request.
type secretUse struct {
	Position  int
	LastMatch time.Time
}

func (u *UI) hook(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	info, ok := u.hookNamed(r.PathValue("hook"))
	if !ok {
		return nil, store.ErrNotFound
	}
	chosen := pickSpan(r.URL.Query().Get("span"))
	status := u.backend.Status()
	data := hookData{health: u.healths([]admin.HookInfo{info}, chosen, &status)[0], senderSide: senderSideOf(&status, info.Name), Now: v.now}
	for _, s := range series.Spans {
		data.Spans = append(data.Spans, option{s.Name, hookURL(info.Name) + "?span=" + s.Name, s.Name == chosen.Name})
	}
	all := u.backend.Series(info.Name, chosen)
	data.Charts = charts(&all)
	for _, s := range status.Secrets {
		if s.Hook == info.Name {
			data.Secret = append(data.Secret, secretUse{s.Position, s.LastMatch.Time})
		}
	}
	if len(status.Listen) > 0 {
		data.Address = status.Listen[0]
	}
	var err error
	data.Latest, err = u.latest(ctx, info.Name)
	if err != nil {
		return nil, err
	}
	return &view{name: "hook", title: "Hook " + info.Name, nav: "hooks", data: data}, nil
}

func (u *UI) hookNamed(name string) (admin.HookInfo, bool) {
	for _, h := range u.backend.Hooks() {
		if h.Name == name {
			return h, true
		}
	}
	return admin.HookInfo{}, false
}

func (u *UI) pausing(on bool) changeHandler {
	word := map[bool]string{true: " is paused: what arrives is kept, and waits.", false: " starts jobs again."}[on]
	return func(r *http.Request, _ *visit) (to, said string, err error) {
		hook, rule := r.PathValue("hook"), r.PathValue("rule")
		if err := u.backend.SetPause(r.Context(), hook, rule, on); err != nil {
			return "", "", err
		}
		return hookURL(hook), strings.TrimSuffix(hook+"/"+rule, "/") + word, nil
	}
}

func cmpStrings(a, b string) int { return cmp.Compare(a, b) }
