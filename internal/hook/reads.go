package hook

import (
	"strings"

	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/request"
)

// with is the hook with other rules.
func (h *Hook) with(rules []*Rule) *Hook {
	other := *h
	other.Rules = rules
	other.wanted = other.reads()
	return &other
}

// reads is what Plan reads of a payload: the conditions of the rules, the keys of their controls, and
// the let: values and facts of a push in them. What is read besides, by a verifier or for an answer,
// is read of the whole.
func (h *Hook) reads() *request.Fields {
	var all expression.Reads
	all.Lets(h.lets)
	for _, r := range h.Rules {
		all.Program(r.match)
		for _, key := range []*expression.Template{r.laneTemplate(), r.onceKey, r.sequenceKey, r.rateLimitKey, r.debounceKey, r.throttleKey} {
			all.Template(key)
		}
		all.Program(r.sequenceBy)
		all.Program(r.priority)
	}
	if h.Provider != nil && h.Provider.Git != nil {
		for _, read := range []struct {
			used  bool
			paths []string
		}{{all.Git, h.Provider.GitReads}, {all.Commits, h.Provider.CommitReads}} {
			for _, path := range read.paths {
				if read.used {
					all.Path(strings.Split(path, ".")...)
				}
			}
		}
	}
	fields := all.Payload()
	return &fields
}
