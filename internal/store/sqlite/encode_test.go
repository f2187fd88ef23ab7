package sqlite

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestABodyThatIsNotAsLongAsRecordedIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	d := newDelivery("")
	d.Body = bytes.Repeat([]byte("a"), 64<<20) // a few kilobytes when compressed
	if err := put(s, d); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []string{"4096", "67108863", "67108865"} {
		made(t, path, "UPDATE delivery SET size = "+size)
		s = open(t, path, Options{})
		var err error
		allocated := testing.AllocsPerRun(1, func() { _, err = s.Delivery(context.Background(), d.ID) })
		if err == nil || !strings.Contains(err.Error(), size) {
			t.Errorf("size %s: %v (%v allocations)", size, err, allocated)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
