package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

// receiveEntry takes an entry, or the file that has it.
func receiveEntry(t *testing.T, conn *net.UnixConn) []byte {
	t.Helper()
	data, control := make([]byte, 1<<20), make([]byte, 1024)
	n, nc, _, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		t.Fatal(err)
	}
	if nc == 0 {
		return data[:n]
	}
	messages, err := syscall.ParseSocketControlMessage(control[:nc])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "entry")
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	entry, err := io.ReadAll(io.NewSectionReader(file, 0, info.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(fmt.Sprintf("/proc/self/fd/%d", fds[0]), 0); err == nil {
		t.Error("the entry is not sealed")
	}
	return entry
}

func TestJournal_StandardErrorIsItsStreamWhenTheManagerSaysSo(t *testing.T) {
	var is syscall.Stat_t
	if err := syscall.Fstat(2, &is); err != nil {
		t.Fatal(err)
	}
	if !stderrIsJournal(fmt.Sprintf("%d:%d", is.Dev, is.Ino)) {
		t.Error("the stream is not known")
	}
}
