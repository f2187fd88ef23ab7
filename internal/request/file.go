package request

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
)

// File is a request as people write it down: for explain, and what deliveries save writes.
type File struct {
	Method     string            `json:"method,omitempty"` // POST when it is left out
	URL        string            `json:"url,omitempty"`    // a path is enough
	Headers    map[string]Values `json:"headers,omitempty"`
	Body       *string           `json:"body,omitempty"`
	BodyBase64 *string           `json:"body_base64,omitempty"` // instead of Body, for what is not text
	IP         string            `json:"ip,omitempty"`          // of the sender; loopback when it is left out
}

// Values is one text or a list of them.
type Values []string

// UnmarshalJSON implements json.Unmarshaler.
func (v *Values) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		*v = Values{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(v))
}

// Request is the request that f describes, as if it came over loopback where it does not say otherwise. Its Params, Format and
// ReceivedAt are left to the caller.
func (f File) Request() (*Request, error) {
	u, err := url.Parse(f.URL)
	if err != nil {
		return nil, err
	}
	r := &Request{
		Scheme: u.Scheme, RawPath: u.EscapedPath(), Method: f.Method, Path: u.Path, RawQuery: u.RawQuery, Host: u.Host, Header: http.Header{},
		IP: netip.AddrFrom4([4]byte{127, 0, 0, 1}),
	}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if r.Path == "" { // what a client asks for then
		r.Path = "/"
	}
	if f.IP != "" {
		if r.IP, err = netip.ParseAddr(f.IP); err != nil {
			return nil, fmt.Errorf("ip: %w", err)
		}
	}
	for name, list := range f.Headers {
		for _, value := range list {
			r.Header.Add(name, value)
		}
	}
	if r.Host == "" {
		r.Host = r.Header.Get("Host")
	}
	switch {
	case f.Body != nil && f.BodyBase64 != nil:
		return nil, errors.New("body and body_base64 are both there")
	case f.Body != nil:
		r.Body = []byte(*f.Body)
	case f.BodyBase64 != nil:
		if r.Body, err = base64.StdEncoding.DecodeString(*f.BodyBase64); err != nil {
			return nil, fmt.Errorf("body_base64: %w", err)
		}
	}
	return r, nil
}
