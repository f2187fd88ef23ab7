package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readEntry reads an entry as the journal does.
func readEntry(t *testing.T, entry []byte) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for len(entry) > 0 {
		line, rest, ok := bytes.Cut(entry, []byte("\n"))
		if !ok {
			t.Fatalf("a field without an end: %q", entry)
		}
		name, value, plain := strings.Cut(string(line), "=")
		if !plain {
			n := binary.LittleEndian.Uint64(rest)
			value, rest = string(rest[8:8+n]), rest[8+n+1:]
		}
		if _, twice := fields[name]; twice {
			t.Errorf("field %s twice", name)
		}
		fields[name], entry = value, rest
	}
	return fields
}

func TestJournal_AnEntryHasTheAttributesAsFields(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(&journalHandler{out: &out}).With("hook", "site").WithGroup("of")
	log.Error("job failed", "job", "0199", "took", 1500*time.Millisecond, "reason", "exit status 1\nPRIORITY=0\nX=y", "error", errors.New("no"), "message", "mine",
		"1st", 3, "empty", "", slog.Group("inner", "at", time.Unix(0, 0).UTC()), "bad key", []string{"a"})
	want := map[string]string{
		"MESSAGE":  `job failed hook=site of_job=0199 of_took=1.5s of_reason="exit status 1\nPRIORITY=0\nX=y" of_error=no of_message=mine of_1st=3 of_inner_at=1970-01-01T00:00:00Z of_bad key="[\"a\"]"`,
		"PRIORITY": "3", "SYSLOG_IDENTIFIER": "tenterhook", "HOOK": "site", "OF_JOB": "0199", "OF_TOOK": "1.5s", "OF_REASON": "exit status 1\nPRIORITY=0\nX=y",
		"OF_ERROR": "no", "OF_MESSAGE": "mine", "OF_1ST": "3", "OF_INNER_AT": "1970-01-01T00:00:00Z", "OF_BAD_KEY": `["a"]`,
	}
	if diff := cmp.Diff(want, readEntry(t, out.Bytes())); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

func TestJournal_NoAttributeTakesTheNameOfAFieldOfTheJournal(t *testing.T) {
	for key, want := range map[string]string{
		"message": "FIELD_MESSAGE", "priority": "FIELD_PRIORITY", "_pid": "FIELD__PID", "1": "FIELD_1", "": "FIELD_", "delivery": "DELIVERY", "exit code": "EXIT_CODE", "é": "FIELD__",
		strings.Repeat("a", 100): strings.Repeat("A", 64),
	} {
		if got := journalName(key); got != want {
			t.Errorf("%q is the field %q, want %q", key, got, want)
		}
	}
}

func TestJournal_LevelsArePriorities(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelError: 3, slog.LevelWarn: 4, slog.LevelInfo: 6, slog.LevelDebug: 7} {
		if got := syslogPriority(level); got != want {
			t.Errorf("%s is %d, want %d", level, got, want)
		}
	}
}

// openJournal is a journal that takes entries at a path.
func openJournal(t *testing.T) (path string, next func() []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, func() []byte {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return receiveEntry(t, conn)
	}
}

func TestJournal_EachRecordIsAnEntryAlsoALargeOne(t *testing.T) {
	t.Parallel()
	path, next := openJournal(t)
	w, err := newJournalWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	queue := newLogQueue(w)
	queue.each = true
	log := slog.New(&journalHandler{out: queue})
	large := strings.Repeat("x", 32<<20)
	log.Info("first", "hook", "a")
	log.Info("second", "hook", "b")
	log.Warn("large", "text", large)
	queue.start()
	defer queue.close()
	for _, want := range []string{"first hook=a", "second hook=b", "large text=" + large} {
		if got := readEntry(t, next())["MESSAGE"]; got != want {
			t.Fatalf("entry %.60q, want %.60q", got, want)
		}
	}
}

func TestJournal_OneThatIsNotThereIsSaid(t *testing.T) {
	if _, err := newJournalWriter(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a journal that is not there is written to")
	}
}

func TestJournal_OnlyTheStreamThatTheManagerNamesIsIts(t *testing.T) {
	for _, stream := range []string{"", "8", "0:0", "x:y"} {
		if stderrIsJournal(stream) {
			t.Errorf("%q is taken for standard error", stream)
		}
	}
}
