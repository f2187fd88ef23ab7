package zones

import (
	"archive/zip"
	"encoding/binary"
	"flag"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var update = flag.Bool("update", false, "pack the zones of the Go that runs the test")

// theirs are the zones of the Go that runs the test.
func theirs(t *testing.T) map[string]string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib/time/zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	zones := map[string]string{}
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		zones[f.Name] = string(content)
	}
	return zones
}

// TestZones_AreThoseOfGo allows for a Go that knows better of a few: governments change their minds.
func TestZones_AreThoseOfGo(t *testing.T) {
	want := theirs(t)
	if *update {
		pack(t, want)
		return
	}
	got, err := unpacked()
	if err != nil {
		t.Fatal(err)
	}
	var other []string
	for name, data := range want {
		if got[name] != data {
			other = append(other, name)
		}
	}
	slices.Sort(other)
	if len(got) < 500 || len(other) > len(want)/10 {
		t.Errorf("%d zones, of which those of %s has others: %v; go test ./internal/zones -update", len(got), runtime.Version(), other)
	}
}

func pack(t *testing.T, zones map[string]string) {
	t.Helper()
	var content []byte
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		for _, text := range []string{name, zones[name]} {
			content = append(binary.AppendUvarint(content, uint64(len(text))), text...)
		}
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("zones.zst", e.EncodeAll(content, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}
