package sender

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Status implements Reporting (docs.gitea.com and codeberg.org/api/swagger: repoCreateStatus).
func (g *gitea) Status(ctx context.Context, s Status) error {
	path := strings.TrimSuffix(g.path, "/hooks") + "/statuses/" + url.PathEscape(s.SHA)
	_, err := g.do(ctx, call{method: http.MethodPost, path: path, json: map[string]string{
		"state": s.State.commitState(), "context": s.Context, "description": s.Description, "target_url": s.URL,
	}})
	return err
}
