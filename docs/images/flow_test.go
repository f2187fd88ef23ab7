package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTimelines_AreWhatTheDaemonDecides draws the pictures of docs/flow-control.md again.
func TestTimelines_AreWhatTheDaemonDecides(t *testing.T) {
	for _, c := range pictured {
		want, err := os.ReadFile(filepath.Join("..", "..", c.file()))
		if err != nil {
			t.Error(err)
		}
		if got := timeline(c.title, c.play()); got != string(want) {
			t.Errorf("%s is not what is decided today: go run ./docs/images", c.file())
		}
	}
}
