package daemon

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/tenterhook/tenterhook/internal/hook"
)

// HookAt finds the hook that an address leads to, with the path it is called by, when the address
// is below base, or server.public_url where base is "". Without either none is found.
func (c *Config) HookAt(base, address string) (h *hook.Hook, path string) {
	base = strings.TrimRight(cmp.Or(base, c.Settings.Server.PublicURL), "/")
	ours, err := url.Parse(base)
	if err != nil || base == "" {
		return nil, ""
	}
	u, err := url.Parse(address)
	if err != nil || !strings.EqualFold(u.Scheme, ours.Scheme) || !strings.EqualFold(hostPort(u), hostPort(ours)) {
		return nil, ""
	}
	path, below := strings.CutPrefix(u.Path, ours.Path)
	if !below || !strings.HasPrefix(path, "/") {
		return nil, ""
	}
	h, _ = c.Hooks.Lookup(path)
	return h, path
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if strings.EqualFold(u.Scheme, "https") {
		return u.Host + ":443"
	}
	return u.Host + ":80"
}
