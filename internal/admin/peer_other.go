//go:build !linux

package admin

import "net"

// Elsewhere nobody tells who is at the other end, so only a token opens the door.

func unixPeer(*net.UnixConn) (int, error)    { return 0, errUnknownPeer }
func loopbackPeer(*net.TCPConn) (int, error) { return 0, errUnknownPeer }
