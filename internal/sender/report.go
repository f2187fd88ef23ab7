package sender

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Reporting is an API that is told what became of a commit.
type Reporting interface {
	// Status sets the state of a commit in a context of its own, in the place of the one before.
	Status(ctx context.Context, s Status) error
}

// Deploying is an API that is told of deployments.
type Deploying interface {
	// Deployment makes the deployment that s is of, unless s.Remote or the API has it, tells its state,
	// and returns what the API calls it, also with an error.
	Deployment(ctx context.Context, s Status) (remote string, err error)
}

// Status is what there is to tell of a job.
type Status struct {
	SHA         string
	State       StatusState
	Context     string // what it is the state of: deploy
	Description string // in words, at most 140 characters
	URL         string // where to look; "" for nowhere
	Job         string // id, by which a deployment is known again
	Environment string // of a deployment
	Remote      string // the deployment's id, "" when it was not made yet
}

// StatusState is where a job stands, in words that all APIs have some for.
type StatusState string

// The states.
const (
	StatusPending   StatusState = "pending"
	StatusRunning   StatusState = "running"
	StatusSuccess   StatusState = "success"
	StatusFailure   StatusState = "failure"
	StatusError     StatusState = "error"     // it could not be found out
	StatusCancelled StatusState = "cancelled" // a person, or a newer one
)

// IsSHA reports whether s is a commit's name as the APIs take it.
func IsSHA(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdefABCDEF") == "" && strings.Trim(s, "0") != ""
}

// Final reports whether an error says that asking again would not help.
func Final(err error) bool {
	var no *Error
	if errors.Is(err, ErrTarget) {
		return true
	}
	if !errors.As(err, &no) {
		return false
	}
	switch no.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false // a token may be renewed meanwhile
	}
	return no.Status < 500
}

// commitState is a state as GitHub and Gitea have it for a commit: they know no cancelled.
func (s StatusState) commitState() string {
	switch s {
	case StatusRunning:
		return string(StatusPending)
	case StatusCancelled:
		return string(StatusError)
	}
	return string(s)
}
