package action

import (
	"slices"
	"testing"
)

func TestEnvironment_KeepsOfEachNameWhatCameLast(t *testing.T) {
	got := lastOfEach([]string{"PATH=/bin", "HOME=/", "A-B=", "HOME=/root", "A=1=2", "HOME=/srv", "A="})
	if want := []string{"A=", "A-B=", "HOME=/srv", "PATH=/bin"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
