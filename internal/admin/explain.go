package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/tenterhook/tenterhook/internal/request"
)

// ExplainRequest is what POST explain takes: a request, or the id of a stored delivery, and for a
// test bench the rule to try with another condition.
type ExplainRequest struct {
	Delivery string        `json:"delivery,omitzero"` // id of a stored one
	Request  *request.File `json:"request,omitzero"`  // instead, as explain --request reads it
	Hook     string        `json:"hook,omitzero"`     // whose rules; that of the path, or of the delivery, when it is left out
	Rule     string        `json:"rule,omitzero"`     // only this one, with Match
	Match    *string       `json:"match,omitzero"`    // the condition to try in the place of the rule's own
	At       Time          `json:"at,omitzero"`       // the clock for signatures with a time; null is now
}

// mostMatch bounds an expression, in bytes, before it is parsed.
const mostMatch = 4096

// Check reports what is wrong with q.
func (q *ExplainRequest) Check() error {
	switch {
	case (q.Delivery == "") == (q.Request == nil):
		return errors.New("say either delivery or request")
	case q.Delivery != "" && !isID(q.Delivery):
		return errors.New("delivery is not an id")
	case (q.Match != nil) != (q.Rule != ""):
		return errors.New("match and rule go together: the condition, and the rule to try it with")
	case q.Match != nil && len(*q.Match) > mostMatch:
		return errors.New("match is too long")
	}
	return nil
}

// explain answers what would be done. A condition that is wrong is a problem with its place.
func (a *api) explain(w http.ResponseWriter, r *http.Request) {
	var q ExplainRequest
	if a.readBody(w, r, &q) != nil {
		return
	}
	if err := q.Check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	x, err := a.backend.Explain(r.Context(), q)
	var placed placedError
	switch {
	case errors.As(err, &placed):
		offset, _ := placed.Where()
		writeProblem(w, Problem{Status: http.StatusUnprocessableEntity, Detail: "match: " + placed.Error(), Problems: []Diagnostic{{
			Severity: "problem", File: "match", Line: 1, Column: offset + 1, Message: placed.Error(), Hints: placed.Advice(), Source: *q.Match,
		}}})
	case err != nil:
		a.fail(w, r, err)
	default:
		a.writeJSON(w, r, x)
	}
}

// placedError is the error of an expression, with its place in bytes.
type placedError interface {
	error
	Where() (offset, width int)
	Advice() []string
}

// asking wraps a route that is asked with a body and changes nothing.
func (a *api) asking(serve func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := parseQuery(r.URL.RawQuery, nil); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), storeWait)
		defer cancel()
		serve(w, r.WithContext(ctx))
	})
}
