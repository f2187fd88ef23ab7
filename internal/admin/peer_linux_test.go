package admin

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestSocketOwner(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the tables below were taken on a little-endian machine")
	}
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	v4 := func(from, to, state, uid, inode string) string {
		return "   1: " + from + " " + to + " " + state + " 00000000:00000000 00:00000000 00000000 " + uid + "        0 " + inode + " 1 0000000000000000 20 4 30 10 -1\n"
	}
	const us, them = "0100007F:2329", "0100007F:C001"
	client, server := netip.MustParseAddrPort("127.0.0.1:49153"), netip.MustParseAddrPort("127.0.0.1:9001")
	for _, tt := range []struct {
		name  string
		table string
		uid   int
		found bool
	}{
		{"the client's row", head + v4(us, them, "01", "0", "11") + v4(them, us, "01", "1000", "12"), 1000, true},
		{"only our own row", head + v4(us, them, "01", "0", "11"), 0, false},
		{"closed by the client: listed as root's", head + v4(them, us, "05", "0", "0"), 0, false},
		{"time wait: listed as root's", head + v4(them, us, "06", "0", "0"), 0, false},
		{"established without an inode", head + v4(them, us, "01", "0", "0"), 0, false},
		{"half closed", head + v4(them, us, "05", "1000", "12"), 0, false},
		{"another port", head + v4("0100007F:C002", us, "01", "1000", "12"), 0, false},
		{"IPv6 socket to an IPv4 address", head + v4("0000000000000000FFFF00000100007F:C001", "0000000000000000FFFF00000100007F:2329", "01", "1001", "13"), 1001, true},
		{"broken rows", head + "x\n" + v4("zz:C001", us, "01", "1", "1") + v4("0100007F", us, "01", "1", "1") + v4("01:1", us, "01", "1", "1") + v4(them, us, "01", "7", "1"), 7, true},
		{"a uid that is no number", head + v4(them, us, "01", "root", "12"), 0, false},
		{"empty", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			uid, err := socketOwner(strings.NewReader(tt.table), client, server)
			if (err == nil) != tt.found || err == nil && uid != tt.uid {
				t.Errorf("uid %d, %v; want %d, found %t", uid, err, tt.uid, tt.found)
			}
		})
	}
}

// The peer of a connection that was reset must not be looked for: its place may be another's.
func TestLoopbackPeer_NeedsALiveConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if uid, err := loopbackPeer(c.(*net.TCPConn)); err != nil || uid != os.Geteuid() {
		t.Errorf("uid %d, %v; want %d", uid, err, os.Geteuid())
	}
	if err := stillOpen(c.(*net.TCPConn)); err != nil {
		t.Errorf("an open connection: %v", err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil { // wait for the close to arrive
		t.Fatal("read from a closed connection")
	}
	if uid, err := loopbackPeer(c.(*net.TCPConn)); err == nil {
		t.Errorf("uid %d of a peer that is gone", uid)
	}
	if err := stillOpen(c.(*net.TCPConn)); err == nil {
		t.Error("a closing connection counts as open")
	}
}
