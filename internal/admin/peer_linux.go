package admin

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unixPeer returns the uid that connected (SO_PEERCRED).
func unixPeer(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, sockErr); err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// loopbackPeer returns the uid that owns the other end of a loopback connection, from the
// kernel's table of connections.
//
// Only an established, still open socket counts there: a socket that was closed is listed as
// root's. Our own end is looked at afterwards: as long as it lives no other socket can take the
// peer's place in the table, so the row was the peer's.
func loopbackPeer(c *net.TCPConn) (uid int, err error) {
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return 0, err
	}
	remote, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return 0, err
	}
	local, remote = unmap(local), unmap(remote)
	if !local.Addr().IsLoopback() || !remote.Addr().IsLoopback() {
		return 0, errors.New("not a loopback connection")
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		uid, err = lookInTable(table, remote, local)
		if err == nil {
			return uid, stillOpen(c)
		}
	}
	return 0, err
}

func lookInTable(path string, owner, other netip.AddrPort) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return socketOwner(f, owner, other)
}

// established is the state of an open connection in /proc/net/tcp.
const established = "01"

// socketOwner finds in a table in the form of /proc/net/tcp who owns the socket at one end.
func socketOwner(table io.Reader, owner, other netip.AddrPort) (uid int, err error) {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != established || f[9] == "0" {
			continue
		}
		if tableAddr(f[1]) == owner && tableAddr(f[2]) == other {
			return strconv.Atoi(f[7])
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("no open socket at %s: %w", owner, errUnknownPeer)
}

// tableAddr reads an address of the table: 32-bit words in the machine's byte order, in hex. It
// returns the zero AddrPort for what is none.
func tableAddr(s string) netip.AddrPort {
	ip, port, ok := strings.Cut(s, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	b, hexErr := hex.DecodeString(ip)
	if !ok || err != nil || hexErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}
	}
	return unmap(netip.AddrPortFrom(addr, uint16(p)))
}

// unmap makes addresses of both families comparable: a client may reach an IPv4 address through
// an IPv6 socket.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// stillOpen reports an error when our end of the connection is no longer established.
func stillOpen(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var info *unix.TCPInfo
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		info, sockErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(err, sockErr); err != nil {
		return err
	}
	if info.State != unix.BPF_TCP_ESTABLISHED {
		return errors.New("the connection is closing")
	}
	return nil
}
