package action

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// watch stands between the guard and the network: it sees every address that is really about to
// be connected to, and lets none through but open, which stands for a public server.
type watch struct {
	open string

	mu      sync.Mutex
	refused []string // by the guard
	passed  []string // what the guard would have let through
}

var errWatched = errors.New("the test ends here")

func (w *watch) control(network, address string, c syscall.RawConn) error {
	if address == w.open {
		return nil
	}
	err := guardDial(network, address, c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.refused = append(w.refused, address)
		return err
	}
	w.passed = append(w.passed, address)
	return errWatched
}

// taken returns what was seen since the last call.
func (w *watch) taken() (refused, passed []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	refused, passed = w.refused, w.passed
	w.refused, w.passed = nil, nil
	return refused, passed
}

// useTransport makes requests of a kind go through another transport until the test ends.
func useTransport(t *testing.T, private bool, tr *http.Transport) {
	t.Helper()
	usual := transports()[private]
	transports()[private] = tr
	t.Cleanup(func() {
		transports()[private] = usual
		tr.CloseIdleConnections()
		forgetTargets()
	})
}

// names are what the test's resolver knows; it answers 127.0.0.1 and ::1 for all others. A name
// with several lists answers with the next one each time, and stays at the last.
var names = map[string][][]string{
	"one-private.test":  {{"10.0.0.1"}},
	"mapped.test":       {{"::ffff:10.0.0.1", "::ffff:127.0.0.1"}},
	"many-private.test": {{"10.0.0.1", "192.168.0.1", "172.16.0.1", "127.0.0.1", "fd00::1", "::1"}},
	"v6-private.test":   {{"fd00::1", "fe80::1", "::1"}},
	"link-local.test":   {{"169.254.1.1", "fe80::1"}},
	"metadata.test":     {{"169.254.169.254", "fd00:ec2::254"}},
	"zero.test":         {{"0.0.0.0", "::"}},
	"alias.test":        {{"CNAME", "192.168.7.7"}},
	"public.test":       {{"93.184.216.34"}},
	"mixed.test":        {{"93.184.216.34", "127.0.0.1", "::1", "10.0.0.1"}},
	"mixed-last.test":   {{"127.0.0.1", "::1", "10.0.0.1", "93.184.216.34"}},
	"rebind.test":       {{"93.184.216.34"}, {"127.0.0.1"}},
	"nobody.test":       {{"NXDOMAIN"}},
}

// newResolver is Go's own resolver, asking a name server of the test.
func newResolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveNames(conn)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func serveNames(conn net.PacketConn) {
	asked := map[dnsmessage.Question]int{}
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		q := query.Questions[0]
		answer, err := answerTo(q, asked[q], query.ID)
		asked[q]++
		if err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

func answerTo(q dnsmessage.Question, before int, id uint16) ([]byte, error) {
	message := dnsmessage.Message{Header: dnsmessage.Header{ID: id, Response: true, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
	answers := [][]string{{"127.0.0.1", "::1"}}
	if known, ok := names[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]; ok {
		answers = known
	}
	owner := q.Name
	for _, text := range answers[min(before, len(answers)-1)] {
		if text == "NXDOMAIN" {
			message.RCode = dnsmessage.RCodeNameError
			continue
		}
		if text == "CNAME" {
			target := dnsmessage.MustNewName("target.internal.test.")
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: owner, Class: q.Class}, Body: &dnsmessage.CNAMEResource{CNAME: target},
			})
			owner = target
			continue
		}
		addr, header := netip.MustParseAddr(text), dnsmessage.ResourceHeader{Name: owner, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return message.Pack()
}

// privateAddresses reads the corpus, with the port of a server on this machine.
func privateAddresses(t *testing.T, port string) []string {
	t.Helper()
	file, err := os.Open("testdata/private-addresses.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var out []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.NewReplacer(`\t`, "\t", `\u00ad`, "\u00ad", `\u200d`, "\u200d").Replace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.Contains(line, "PORT") || strings.Contains(line, "://") || strings.HasPrefix(line, "data:"):
			out = append(out, strings.ReplaceAll(line, "PORT", port))
		default:
			out = append(out, "http://"+line+":"+port+"/")
		}
	}
	if len(out) < 300 {
		t.Fatalf("%d addresses", len(out))
	}
	return out
}

// leastDialled is how many addresses must get as far as the guard, also where there is no IPv6.
const leastDialled = 120

func portOf(s *sink) string { return s.URL[strings.LastIndexByte(s.URL, ':')+1:] }

func TestGuard_NoFormOfAPrivateAddressIsReached(t *testing.T) {
	s, w := newSink(t, nil), &watch{}
	useTransport(t, false, newTransport(w.control, newResolver(t)))
	atLoad, atDial := 0, 0
	for _, address := range privateAddresses(t, portOf(s)) {
		a, d := compileRule(t, "http: {url: "+strconv.Quote(address)+"}")
		if d.Err() != nil {
			atLoad++
			continue
		}
		r := prepared(t, a, facts(t)).Run(t.Context(), NewOutput(1024))
		refused, passed := w.taken()
		if r.Err == nil || r.Status != 0 || len(passed) > 0 {
			t.Errorf("%q reaches %v: %+v", address, passed, r)
		}
		if len(refused) > 0 {
			atDial++
			if !r.Final || !strings.Contains(r.Err.Error(), "refused to connect to") {
				t.Errorf("%q was stopped at %v, but %+v", address, refused, r)
			}
		}
	}
	if s.hits.Load() != 0 {
		t.Errorf("%d requests arrived", s.hits.Load())
	}
	if atDial < leastDialled {
		t.Errorf("only %d were refused by the guard, %d at load: the corpus does not test it", atDial, atLoad)
	}
	t.Logf("%d refused when they were dialled, %d at load", atDial, atLoad)
}

func TestGuard_NoRedirectLeadsToAPrivateAddress(t *testing.T) {
	target := newSink(t, nil)
	var to string
	public := newSink(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = []string{to}
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	w := &watch{open: strings.TrimPrefix(public.URL, "http://")}
	useTransport(t, false, newTransport(w.control, newResolver(t)))
	a := compiled(t, "http: {url: '"+public.URL+"', follow_redirects: 3}")
	atDial := 0
	for _, to = range privateAddresses(t, portOf(target)) {
		forgetTargets() // a redirect that cannot be read is the server's fault
		r := prepared(t, a, facts(t)).Run(t.Context(), NewOutput(1024))
		refused, passed := w.taken()
		if r.Err == nil || len(passed) > 0 {
			t.Errorf("%q reaches %v: %+v", to, passed, r)
		}
		if len(refused) > 0 {
			atDial++
		}
	}
	if target.hits.Load() != 0 {
		t.Errorf("%d requests arrived", target.hits.Load())
	}
	if atDial < leastDialled {
		t.Errorf("only %d were refused by the guard", atDial)
	}
}

// The counterpart of the tests above: what they say is not reached can be.
func TestGuard_AllowPrivateReachesThisMachine(t *testing.T) {
	s := newSink(t, nil)
	useTransport(t, true, newTransport(nil, newResolver(t)))
	for i, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "localhost", "LOCALHOST.", "unknown.test", "0x7f.1", "１２７.０.０.１"} {
		r, out := sent(t, "http: {url: 'http://"+host+":"+portOf(s)+"/', allow_private: true}")
		if r.Err != nil || s.hits.Load() != int64(i+1) {
			t.Errorf("%s: %v %s", host, r.Err, out)
		}
	}
}

func TestGuard_LetsPublicAddressesThrough(t *testing.T) {
	w := &watch{}
	useTransport(t, false, newTransport(w.control, newResolver(t)))
	for url, want := range map[string]string{
		"http://public.test/":            "93.184.216.34:80",
		"https://public.test/":           "93.184.216.34:443",
		"http://93.184.216.34:8080/":     "93.184.216.34:8080",
		"http://[2606:4700::1111]/":      "[2606:4700::1111]:80",
		"http://[::ffff:93.184.216.34]/": "93.184.216.34:80",
	} {
		r, _ := sent(t, "http: {url: '"+url+"'}")
		if refused, passed := w.taken(); len(refused) > 0 || !slices.Equal(passed, []string{want}) || r.Final {
			// A machine without IPv6 does not get as far as the guard.
			if !strings.Contains(url, "2606") || len(passed) > 0 {
				t.Errorf("%s: passed %v, refused %v: %+v", url, passed, refused, r)
			}
		}
	}
}

func TestGuard_OfMixedAnswersOnlyThePublicAddressIsTried(t *testing.T) {
	w := &watch{}
	useTransport(t, false, newTransport(w.control, newResolver(t)))
	for _, name := range []string{"mixed.test", "mixed-last.test"} {
		r, _ := sent(t, "http: {url: 'http://"+name+"/'}")
		if refused, passed := w.taken(); r.Err == nil || len(refused) == 0 || !slices.Equal(passed, []string{"93.184.216.34:80"}) {
			t.Errorf("%s: passed %v, refused %v: %v", name, passed, refused, r.Err)
		}
	}
}

func TestGuard_ANameThatChangesItsAddressGainsNothing(t *testing.T) {
	s, w := newSink(t, nil), &watch{}
	useTransport(t, false, newTransport(w.control, newResolver(t)))
	a := compiled(t, "http: {url: 'http://rebind.test:"+portOf(s)+"/'}")
	for attempt := range 3 {
		r := prepared(t, a, facts(t)).Run(t.Context(), NewOutput(1024))
		refused, passed := w.taken()
		if attempt == 0 && !slices.Equal(passed, []string{"93.184.216.34:" + portOf(s)}) {
			t.Errorf("the public address: passed %v, refused %v", passed, refused)
		}
		if attempt > 0 && (len(passed) > 0 || !slices.Equal(refused, []string{"127.0.0.1:" + portOf(s)}) || !r.Final) {
			t.Errorf("attempt %d: passed %v, refused %v: %+v", attempt, passed, refused, r)
		}
	}
	if s.hits.Load() != 0 {
		t.Errorf("%d requests arrived", s.hits.Load())
	}
}

func TestGuard_HoldsForEveryProxyOfTheEnvironment(t *testing.T) {
	proxy, w := newSink(t, nil), &watch{}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	useTransport(t, false, newTransport(w.control, newResolver(t)))
	for private, tr := range transports() {
		if tr.(*http.Transport).Proxy != nil { // net/http reads the environment once in a process
			t.Errorf("private %v: a proxy is asked for", private)
		}
	}
	for _, scheme := range []string{"http", "https"} {
		r, _ := sent(t, "http: {url: '"+scheme+"://public.test:4444/'}")
		if refused, passed := w.taken(); r.Err == nil || len(refused) > 0 || !slices.Equal(passed, []string{"93.184.216.34:4444"}) {
			t.Errorf("%s: passed %v, refused %v: %v", scheme, passed, refused, r.Err)
		}
	}
	if proxy.hits.Load() != 0 {
		t.Errorf("the proxy was asked %d times", proxy.hits.Load())
	}
}
