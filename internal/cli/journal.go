package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// journalSocket is where systemd's journal takes entries.
const journalSocket = "/run/systemd/journal/socket"

// journalHandler writes each record as an entry of systemd's journal, with its attributes as fields:
// HOOK, DELIVERY, JOB, …. Each Write to out is one entry in the journal's own format.
//
// The format: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
type journalHandler struct {
	out   io.Writer
	attrs []slog.Attr // with the groups in their keys
	group string      // of further attributes, with an underscore behind it
}

// Enabled implements slog.Handler.
func (*journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clip(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.group, a)
		return true
	})
	var entry, text bytes.Buffer
	text.WriteString(printable(r.Message))
	for _, a := range attrs {
		if value := journalText(a.Value); value != "" {
			journalField(&entry, journalName(a.Key), value)
			fmt.Fprintf(&text, " %s=%s", printable(a.Key), shownValue(value))
		}
	}
	journalField(&entry, "MESSAGE", text.String())
	journalField(&entry, "PRIORITY", strconv.Itoa(syslogPriority(r.Level)))
	journalField(&entry, "SYSLOG_IDENTIFIER", "tenterhook")
	_, err := h.out.Write(entry.Bytes())
	return err
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	out.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		out.attrs = flatten(out.attrs, h.group, a)
	}
	return &out
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	out := *h
	out.group += name + "_"
	return &out
}

// flatten adds an attribute, those of a group one by one.
func flatten(to []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() != slog.KindGroup {
		if a.Key == "" {
			return to
		}
		return append(to, slog.Attr{Key: prefix + a.Key, Value: a.Value})
	}
	if a.Key != "" {
		prefix += a.Key + "_"
	}
	for _, inner := range a.Value.Group() {
		to = flatten(to, prefix, inner)
	}
	return to
}

// journalText is a value as text.
func journalText(v slog.Value) string {
	if v.Kind() == slog.KindTime {
		return v.Time().Format(time.RFC3339Nano)
	}
	if v.Kind() != slog.KindAny {
		return v.String()
	}
	switch value := v.Any().(type) {
	case error:
		return value.Error()
	case fmt.Stringer:
		return value.String()
	}
	if data, err := json.Marshal(v.Any()); err == nil {
		return string(data)
	}
	return v.String()
}

// ownFields are those that the entry has anyway, and ERRNO, which is to be a number.
var ownFields = []string{"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "ERRNO"}

// journalName makes a field's name of a key: capital letters, digits and underscores, at most 64,
// with a letter first.
func journalName(key string) string {
	name := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToUpper(r)
		}
		return '_'
	}, key)
	if name == "" || !unicode.IsLetter(rune(name[0])) || slices.Contains(ownFields, name) {
		name = "FIELD_" + name
	}
	return name[:min(len(name), 64)]
}

// journalField writes a field. A value with line breaks is written with its length, so that none can
// pass for a field of its own.
func journalField(to *bytes.Buffer, name, value string) {
	to.WriteString(name)
	if !strings.Contains(value, "\n") {
		to.WriteByte('=')
	} else {
		to.WriteByte('\n')
		_ = binary.Write(to, binary.LittleEndian, uint64(len(value))) // a Buffer takes everything
	}
	to.WriteString(value)
	to.WriteByte('\n')
}

// shownValue is a value in the entry's text, in quotes when it has to be.
func shownValue(value string) string {
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || !unicode.IsPrint(r) }) {
		return strconv.Quote(value)
	}
	return value
}

// syslogPriority is a level as syslog(3) counts.
func syslogPriority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// journalWriter sends each Write to the journal as one entry. While the journal does not take it,
// the entry is lost: standard error, its usual substitute, is the journal as well.
type journalWriter struct {
	conn *net.UnixConn
	to   *net.UnixAddr
}

// newJournalWriter makes a writer to the journal at path.
func newJournalWriter(path string) (*journalWriter, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("find the journal: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"}) // without a name, and not connected: the journal may be restarted
	if err != nil {
		return nil, fmt.Errorf("open a socket for the journal: %w", err)
	}
	_ = conn.SetWriteBuffer(8 << 20) // as much as the kernel allows
	return &journalWriter{conn: conn, to: &net.UnixAddr{Net: "unixgram", Name: path}}, nil
}

// Write implements io.Writer.
func (w *journalWriter) Write(entry []byte) (int, error) {
	_, _, err := w.conn.WriteMsgUnix(entry, nil, w.to)
	if tooLarge(err) {
		err = w.sendFile(entry)
	}
	if err != nil {
		return 0, err
	}
	return len(entry), nil
}

// stderrIsJournal reports whether standard error is a stream of the journal: the service manager
// says which one it is, since a child may have another. See JOURNAL_STREAM in systemd.exec(5).
func stderrIsJournal(stream string) bool {
	device, inode, ok := strings.Cut(stream, ":")
	var is syscall.Stat_t
	if !ok || syscall.Fstat(2, &is) != nil {
		return false
	}
	return device == strconv.FormatUint(uint64(is.Dev), 10) && inode == strconv.FormatUint(is.Ino, 10)
}
