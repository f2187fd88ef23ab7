package ingress

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientIP_BelievesOnlyTrustedProxies(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, tt := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"}, // anybody can write the header
		{"10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:5", nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"}, // the first is the sender's own invention
		{"10.0.0.1:5", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		{"10.0.0.1:5", []string{"198.51.100.7, 10.0.0.2, 10.0.0.3"}, "198.51.100.7"},
		{"10.0.0.1:5", []string{"10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:5", []string{"198.51.100.7, nonsense"}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7, nonsense, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:5", []string{""}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.7:443"}, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"[fd00::1]:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{"[fd00::1%eth0]:5", []string{"2001:db8::1%x"}, "2001:db8::1"},
		{"@", []string{"198.51.100.7"}, "0.0.0.0"}, // a unix socket
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
		for _, f := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if got := clientIP(r, proxies); got.String() != tt.want {
			t.Errorf("%s for %q: %s, want %s", tt.peer, tt.forwarded, got, tt.want)
		}
	}
}
