package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestBuild_M7_TwoBuildsAreTheSameFile runs the script that people run by hand.
func TestBuild_M7_TwoBuildsAreTheSameFile(t *testing.T) {
	if os.Getenv("TENTERHOOK_BUILD_TWICE") == "" {
		t.Skip("two builds from nothing take minutes: TENTERHOOK_BUILD_TWICE=1, or .ci/reproducible by hand")
	}
	out, err := exec.Command("../../.ci/reproducible").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
