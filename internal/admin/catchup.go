package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// CatchUpRequest is what POST hooks/{hook}/catchup takes.
type CatchUpRequest struct {
	Since string `json:"since,omitzero"` // a time, or 24h, 7d ago; "": as far back as the hook goes
}

// Caught is what catching up did.
type Caught struct {
	Hook   string `json:"hook"`
	Since  Time   `json:"since"`
	Listed int    `json:"listed"` // deliveries that the sender told of
	Known  int    `json:"known"`  // that had arrived
	Taken  int    `json:"taken"`  // that had not, and are stored now
	Lost   int    `json:"lost"`   // that the sender has no more, or that cannot be read
	More   bool   `json:"more"`   // the time for an answer was over before it was through: ask again
}

func (a *api) catchUp(w http.ResponseWriter, r *http.Request) error {
	var q CatchUpRequest
	if err := a.readBody(w, r, &q); err != nil {
		return err
	}
	if len(q.Since) > mostFilter {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("since is longer than %d bytes", mostFilter))
		return errors.New("since is too long")
	}
	caught, err := a.backend.CatchUp(r.Context(), r.PathValue("hook"), q.Since)
	if err != nil {
		a.fail(w, r, err)
		return err
	}
	noteOf(r).detail = fmt.Sprintf("listed %d, taken %d, lost %d", caught.Listed, caught.Taken, caught.Lost)
	a.writeJSON(w, r, caught)
	return nil
}

// CatchUp asks a hook's sender for what did not arrive.
func (c *Client) CatchUp(ctx context.Context, hook, since string) (caught Caught, err error) {
	err = c.post(ctx, "hooks/"+url.PathEscape(hook)+"/catchup", CatchUpRequest{Since: since}, &caught)
	return caught, err
}
