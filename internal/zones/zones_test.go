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

// TestZones_AreThoseOfGo fails as well when another version of Go has other rules: the newer ones are to be taken.
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
	if len(got) < 500 || !maps.Equal(got, want) {
		t.Errorf("%d zones, and %d of this Go, which may be newer: go test ./internal/zones -update", len(got), len(want))
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
