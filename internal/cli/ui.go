package cli

import (
	"fmt"
	"net"
	"strings"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// uiCmd is "ui".
type uiCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (uiCmd) Help() string {
	return `Prints a link to the daemon's pages. It lets whoever opens it first in, once, within 5 minutes; the login lasts 12 hours or until the daemon restarts.

From another machine, forward the port and open the link there:

    ssh -L 9001:127.0.0.1:9001 HOST
    ssh -L 9001:/run/tenterhook/admin.sock HOST     when admin.listen is a unix socket
`
}

// uiLink is what --json prints.
type uiLink struct {
	URL       string     `json:"url"`
	ExpiresAt admin.Time `json:"expires_at"`
}

// Run prints the link.
func (c *uiCmd) Run(e *env) error {
	s, err := e.settings()
	if err != nil {
		return err
	}
	var link admin.LoginLink
	err = e.daemon(func(client *admin.Client) error {
		link, err = client.LoginLink(e.ctx)
		return err
	})
	if err != nil {
		return err
	}
	url := pagesAt(s.listen) + link.Path
	if c.JSON {
		return writeJSON(e.stdout, uiLink{url, link.ExpiresAt})
	}
	fmt.Fprintln(e.stdout, url)
	if strings.HasPrefix(s.listen, "unix:") {
		e.say("the admin side listens on a unix socket, which no browser opens; forward it: ssh -L 9001:%s HOST", strings.TrimPrefix(s.listen, "unix:"))
	}
	return nil
}

// pagesAt is where a browser on this machine finds the pages.
func pagesAt(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || strings.HasPrefix(listen, "unix:") {
		return "http://127.0.0.1:9001" // as ssh -L of the hint has it
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
