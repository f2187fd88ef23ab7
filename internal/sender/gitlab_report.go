package sender

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Status implements Reporting (docs.gitlab.com/api/commits: Set commit pipeline status). GitLab refuses
// to move a status to where it is, or back: what it has then is as new.
func (g *gitlab) Status(ctx context.Context, s Status) error {
	states := map[StatusState]string{StatusFailure: "failed", StatusError: "failed", StatusCancelled: "canceled"}
	state := states[s.State]
	if state == "" {
		state = string(s.State)
	}
	body := map[string]string{"state": state, "name": s.Context, "description": s.Description}
	if s.URL != "" {
		body["target_url"] = s.URL
	}
	path := strings.TrimSuffix(g.path, "/hooks") + "/statuses/" + url.PathEscape(s.SHA)
	_, err := g.do(ctx, call{method: http.MethodPost, path: path, json: body})
	var no *Error
	if errors.As(err, &no) && no.Status == http.StatusBadRequest && strings.Contains(no.Message, "Cannot transition status") {
		return nil
	}
	return err
}
