package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/store"
)

// completeCmd is "complete", which the completion scripts ask for the words they cannot know: a
// word and, behind a tab, what it is, on each line. It says nothing when it knows none, and takes
// no longer than a person waits for a key.
type completeCmd struct {
	Kind string `arg:"" help:"What is wanted."`
}

const (
	completeWithin = time.Second
	completeIDs    = 40
)

// candidates are where the words of each kind come from.
var candidates = map[string]func(e *env, say func(word, what string)) error{
	"hooks": func(e *env, say func(word, what string)) error {
		for _, h := range e.quietly().Hooks.Hooks() {
			say(h.Name, h.Path)
		}
		return nil
	},
	"rules": func(e *env, say func(word, what string)) error {
		for _, h := range e.quietly().Hooks.Hooks() {
			say(h.Name, h.Path)
			for _, r := range h.Rules {
				say(h.Name+"/"+r.Name, r.Match)
			}
		}
		return nil
	},
	"providers": func(_ *env, say func(word, what string)) error {
		for _, p := range provider.All() {
			say(p.Name, p.Title)
		}
		return nil
	},
	"samples": func(_ *env, say func(word, what string)) error {
		seen := map[string]bool{}
		for _, p := range provider.All() {
			for _, s := range p.Samples {
				if !seen[s.Name] {
					say(s.Name, s.Event)
				}
				seen[s.Name] = true
			}
		}
		return nil
	},
	"deliveries": func(e *env, say func(word, what string)) error {
		return e.reading(func(from source) error {
			list, _, err := from.Deliveries(e.ctx, store.Filter{Limit: completeIDs})
			for _, d := range list {
				say(shortID(d.ID), fmt.Sprintf("%s %s %s ago", d.Hook, d.Event, age(e.now(), d.ReceivedAt.Time)))
			}
			return err
		})
	},
	"jobs": func(e *env, say func(word, what string)) error {
		return e.reading(func(from source) error {
			list, _, err := from.Jobs(e.ctx, store.Filter{Limit: completeIDs})
			for _, j := range list {
				say(shortID(j.ID), fmt.Sprintf("%s/%s %s %s ago", j.Hook, j.Rule, j.State, age(e.now(), j.CreatedAt.Time)))
			}
			return err
		})
	},
}

// Run prints.
func (c completeCmd) Run(e *env) error {
	find := candidates[c.Kind]
	if find == nil {
		return said(exitFailed)
	}
	ctx, cancel := context.WithTimeout(e.ctx, completeWithin)
	defer cancel()
	e.ctx, e.stderr = ctx, io.Discard
	var lines strings.Builder // all of them or none: what is read twice begins anew
	err := find(e, func(word, what string) {
		fmt.Fprintf(&lines, "%s\t%s\n", printable(word), printable(strings.Join(strings.Fields(what), " ")))
	})
	if err != nil {
		return said(exitFailed)
	}
	_, err = io.WriteString(e.stdout, lines.String())
	return err
}

// quietly is the configuration, as far as it can be read; an empty one otherwise.
func (e *env) quietly() *daemon.Config {
	conf, _ := daemon.Load(config.Options{Path: e.config, Environ: e.environ}, false)
	if conf == nil {
		return &daemon.Config{Hooks: &hook.Set{}}
	}
	return conf
}
