package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSchema_NoTwoStepsHaveTheSameNumber notices that two changes that were made beside each other both took
// the next one: neither store would open.
func TestSchema_NoTwoStepsHaveTheSameNumber(t *testing.T) {
	for _, store := range []string{"sqlite", "postgres"} {
		steps, err := os.ReadDir(filepath.Join("..", "store", store, "schema"))
		if err != nil || len(steps) == 0 {
			t.Fatalf("%s: %d steps, %v", store, len(steps), err)
		}
		for i, step := range steps {
			if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(step.Name(), want) {
				t.Errorf("%s: schema step %s should begin with %s: the later one of two takes the next number", store, step.Name(), want)
			}
		}
	}
}
