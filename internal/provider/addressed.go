package provider

import (
	"net/http"
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// addressed is an HMAC that covers the hook's public address as the sender knows it. What a proxy
// hides of it (scheme, host, port, a part of the path) URL says.
type addressed struct {
	verify.HMAC

	URL string `yaml:"url" doc:"The hook's public address as the sender knows it, where a proxy hides it; without a query."`
}

// newAddressed signs what message makes of each form the address may have had.
func newAddressed(h *verify.HMAC, message func(url string, r *request.Request) []byte) *addressed {
	a := &addressed{HMAC: *h}
	a.Over(func(r *request.Request, _, _ string) ([][]byte, error) {
		var out [][]byte
		for _, u := range a.urls(r) {
			out = append(out, message(u, r))
		}
		return out, nil
	})
	return a
}

func (a *addressed) urls(r *request.Request) []string {
	if a.URL == "" {
		return verify.URLs(r)
	}
	if r.RawQuery != "" && !strings.Contains(a.URL, "?") {
		return []string{a.URL + "?" + r.RawQuery}
	}
	return []string{a.URL}
}

// signedForm is an address and the sorted parameters of the form that was posted to it.
func signedForm(url string, r *request.Request) []byte {
	form, err := verify.SortedForm(r, "")
	if err != nil {
		return nil // matches nothing
	}
	return []byte(url + form)
}

// greetHead answers a check of the address by HEAD.
func greetHead(r *request.Request, _ [][]byte) *Answer {
	if r.Method != http.MethodHead {
		return nil
	}
	return &Answer{Status: http.StatusOK}
}
