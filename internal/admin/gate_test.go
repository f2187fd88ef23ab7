package admin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func uid() int { return os.Geteuid() }

func TestGate_Host(t *testing.T) {
	d := open(t, sample(), Options{Listen: "127.0.0.1:0", Hosts: []string{"hooks.example.com"}})
	for host, want := range map[string]int{
		"":                          200, // what the client dialled
		"localhost":                 200,
		"LOCALHOST:9001":            200,
		"localhost.":                200,
		"127.0.0.1":                 200,
		"[::1]:9001":                200,
		"hooks.example.com":         200,
		"HOOKS.example.com.:443":    200,
		"evil.example":              421,
		"evil.example:9001":         421,
		"127.0.0.1.evil.example":    421,
		"localhost.evil.example":    421,
		"evil.example#127.0.0.1":    421,
		"0.0.0.0":                   421,
		"127.0.0.2":                 421,
		"192.0.2.7":                 421,
		"hooks.example.com.evil.de": 421,
	} {
		header := []string{}
		if host != "" {
			header = append(header, "Host: "+host)
		}
		if got := d.ask("GET", prefix+"jobs", header...); got.status != want {
			t.Errorf("Host %q: %d, want %d", host, got.status, want)
		}
	}
}

func TestGate_Origin(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"no browser", nil, 200},
		{"same origin", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"typed in the address bar", []string{"Sec-Fetch-Site: none"}, 200},
		{"another site", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"another port of this host", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"old browser, another origin", []string{"Origin: http://evil.example"}, 403},
		{"old browser, another port", []string{"Origin: http://127.0.0.1:1"}, 403},
		{"sandboxed page", []string{"Origin: null"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, sample(), Options{})
			if got := d.ask("POST", prefix+"jobs/"+id(11)+"/retry", tt.header...); got.status != tt.status {
				t.Errorf("%d, want %d", got.status, tt.status)
			}
			if changed := len(d.seen()) > 0; changed != (tt.status == 200) {
				t.Errorf("changed: %t", changed)
			}
		})
	}
}

func TestGate_Token(t *testing.T) {
	const token = "correct horse battery staple"
	for _, tt := range []struct {
		name   string
		path   string
		header []string
		status int
	}{
		{"right", "jobs", []string{"Authorization: Bearer " + token}, 200},
		{"right, scheme in lower case", "jobs", []string{"Authorization: bearer " + token}, 200},
		{"none, from the same user", "jobs", nil, 401},
		{"empty", "jobs", []string{"Authorization: Bearer "}, 401},
		{"wrong", "jobs", []string{"Authorization: Bearer wrong"}, 401},
		{"cut short", "jobs", []string{"Authorization: Bearer " + token[:5]}, 401},
		{"with more behind", "jobs", []string{"Authorization: Bearer " + token + "x"}, 401},
		{"another scheme", "jobs", []string{"Authorization: Basic " + token}, 401},
		{"without a scheme", "jobs", []string{"Authorization: " + token}, 401},
		{"twice", "jobs", []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token}, 401},
		{"in the URL", "jobs?token=correct", nil, 401},
		{"in a cookie", "jobs", []string{"Cookie: token=correct"}, 401},
		{"none on an unknown path", "nowhere", nil, 401},
		{"through a proxy", "jobs", []string{"Authorization: Bearer " + token, "X-Forwarded-For: 192.0.2.1"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, sample(), Options{Token: []byte(token)})
			got := d.ask("GET", prefix+tt.path, tt.header...)
			if got.status != tt.status {
				t.Errorf("%d %s, want %d", got.status, got.body, tt.status)
			}
			if got.status == 401 && got.header.Get("WWW-Authenticate") == "" {
				t.Error("a 401 without WWW-Authenticate")
			}
			if strings.Contains(d.log.String(), "correct horse") {
				t.Errorf("the token is in the log: %s", d.log)
			}
		})
	}
}

func TestGate_WrongTokensAreSlowed(t *testing.T) {
	now := noon
	d := open(t, sample(), Options{Token: []byte("right"), now: func() time.Time { return now }})
	right, wrong := "Authorization: Bearer right", "Authorization: Bearer wrong"
	for n := range triesBurst {
		if got := d.ask("GET", prefix+"jobs", wrong); got.status != 401 {
			t.Fatalf("wrong token %d: %d", n+1, got.status)
		}
	}
	// The right one is not looked at either: else guessing would cost nothing.
	for _, token := range []string{wrong, right} {
		if got := d.ask("GET", prefix+"jobs", token); got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d", token, got.status)
		}
	}
	now = now.Add(time.Second)
	if got := d.ask("GET", prefix+"jobs", right); got.status != 200 {
		t.Errorf("a second later: %d", got.status)
	}
}

func TestTries_AreBoundedAndDoNotConcernOthers(t *testing.T) {
	tries := newTries()
	for n := range maxTriers {
		tries.failed(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), noon)
	}
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range triesBurst {
		tries.failed(one, noon)
	}
	if len(tries.by) != maxTriers {
		t.Errorf("%d addresses are kept, the bound is %d", len(tries.by), maxTriers)
	}
	if tries.allowed(one, noon) || tries.allowed(other, noon) {
		t.Error("addresses beyond the bound are not slowed")
	}
	if !tries.allowed(netip.AddrFrom4([4]byte{10, 0, 0, 1}), noon) {
		t.Error("an address with one wrong token is slowed")
	}
	tries.failed(one, noon.Add(time.Minute))
	if len(tries.by) != 1 {
		t.Errorf("%d addresses are kept after a minute, want 1", len(tries.by))
	}
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for range triesBurst {
		tries.failed(a, noon)
	}
	if tries.allowed(b, noon) {
		t.Error("a neighbour in the same /64 is another sender")
	}
}

func TestGate_LoopbackWithoutToken(t *testing.T) {
	d := open(t, sample(), Options{})
	if got := d.ask("GET", prefix+"jobs"); got.status != 200 {
		t.Errorf("same user: %d %s", got.status, got.body)
	}
	for _, name := range proxyHeaders {
		if got := d.ask("GET", prefix+"jobs", name+": 192.0.2.1"); got.status != 401 || !strings.Contains(got.body, "proxy") {
			t.Errorf("with %s: %d %s", name, got.status, got.body)
		}
	}
}

// A browser that sends neither Origin nor Sec-Fetch-Site with a form does not say whose page it is. Where
// the user's id alone opens, any page could then have it post here.
func TestGate_OldBrowserChangesNothingWithoutAToken(t *testing.T) {
	const old = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:52.0) Gecko/20100101 Firefox/52.0"
	form := "Content-Type: application/x-www-form-urlencoded"
	const token = "correct horse battery staple"
	for _, tt := range []struct {
		name, method, path string
		token              string
		header             []string
		status             int
	}{
		{"old browser's form", "POST", "jobs/" + id(11) + "/retry", "", []string{old, form}, 401},
		{"old browser that reads", "GET", "jobs", "", []string{old}, 200},
		{"browser that says it is ours", "POST", "jobs/" + id(11) + "/retry", "", []string{old, "Sec-Fetch-Site: same-origin"}, 200},
		{"a tool's form", "POST", "jobs/" + id(11) + "/retry", "", []string{"User-Agent: curl/8.0", form}, 200},
		{"old browser with a token", "POST", "jobs/" + id(11) + "/retry", token, []string{old, form, "Authorization: Bearer " + token}, 200},
	} {
		d := open(t, sample(), Options{Token: []byte(tt.token)})
		if got := d.ask(tt.method, prefix+tt.path, tt.header...); got.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, got.status, got.body, tt.status)
		}
	}
}

func TestGate_UnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	open(t, sample(), Options{Listen: "unix:" + path})
	c := NewClient("unix:"+path, "")
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("same user: %v", err)
	}
}

// Nobody but the owner and root may enter: proven with a connection of another user.
func TestGate_OtherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as another user")
	}
	const other = 65534
	for _, tt := range []struct {
		name   string
		owner  int
		listen string
		want   string
	}{
		{"loopback, another user", 12345, "127.0.0.1:0", "401"},
		{"loopback, the daemon's user", other, "127.0.0.1:0", "200"},
		{"loopback over IPv6, another user", 12345, "[::1]:0", "401"},
		{"loopback over IPv6, the daemon's user", other, "[::1]:0", "200"},
		{"unix socket, another user", 12345, "unix", "401"},
		{"unix socket, the daemon's user", other, "unix", "200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "admin") // open to others, unlike t.TempDir
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(tt.listen, "[") {
				if l, err := net.Listen("tcp", tt.listen); err != nil {
					t.Skipf("this machine has no IPv6 loopback: %v", err)
				} else {
					l.Close()
				}
			}
			listen := tt.listen
			if listen == "unix" {
				listen = "unix:" + filepath.Join(dir, "s")
			}
			d := open(t, sample(), Options{Listen: listen, owner: tt.owner})
			if tt.listen == "unix" {
				if err := os.Chmod(d.addr, 0o666); err != nil {
					t.Fatal(err)
				}
				d.addr = "unix:" + d.addr
			}
			if got := asOtherUser(t, dir, d.addr, other); got != tt.want {
				t.Errorf("answered %s, want %s; log:\n%s", got, tt.want, d.log)
			}
		})
	}
}

// asOtherUser runs this test binary again as uid, to ask for the jobs at addr.
func asOtherUser(t *testing.T, dir, addr string, uid uint32) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "self") // where the other user may read it
	if err := copyFile(copied, self); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied)
	cmd.Dir = dir
	cmd.Env = []string{"TEST_GET_AS_OTHER_USER=" + addr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// getAsOtherUser is the other user's process: it prints the status of one answer.
func getAsOtherUser(addr string) int {
	c := NewClient(addr, "")
	resp, err := c.http.Get(c.base + prefix + "jobs")
	if err != nil {
		fmt.Print(err)
		return 1
	}
	resp.Body.Close()
	fmt.Print(resp.StatusCode)
	return 0
}

func TestGate_WithoutNewServerOnlyATokenOpens(t *testing.T) {
	for token, want := range map[string]int{"": 401, "t0ken": 200} {
		s := httptest.NewServer(Handler(sample(), Options{Token: []byte(token)}))
		req, err := http.NewRequest("GET", s.URL+prefix+"jobs", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("token %q: %d, want %d", token, resp.StatusCode, want)
		}
		s.Close()
	}
}

func TestGate_AddressBeyondLoopbackWithoutTokenIsShut(t *testing.T) {
	ip := outsideAddress(t)
	d := open(t, sample(), Options{Listen: net.JoinHostPort(ip, "0")})
	if got := d.ask("GET", prefix+"jobs"); got.status != 401 {
		t.Errorf("%d %s, want 401", got.status, got.body)
	}
}

// outsideAddress is an address of this machine that is not loopback.
func outsideAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Skipf("the interfaces cannot be listed: %v", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr().String()
		}
	}
	t.Skip("this machine has only loopback addresses")
	return ""
}

func TestIsLocal_OnlyWhatThisMachineAloneReaches(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:9001":            true,
		"127.8.9.10:9001":           true,
		"[::1]:9001":                true,
		"[::ffff:127.0.0.1]:9001":   true,
		"localhost:9001":            true,
		"unix:/run/tenterhook.sock": true,
		"0.0.0.0:9001":              false,
		":9001":                     false,
		"[::]:9001":                 false,
		"192.0.2.1:9001":            false,
		"admin.example.com:9001":    false,
		"localhost.evil.example:1":  false,
		"127.0.0.1":                 false,
		"":                          false,
	} {
		if got := IsLocal(listen); got != want {
			t.Errorf("%q is local: %v", listen, got)
		}
	}
}
