package verify

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

func init() {
	register(Kind{
		Name: "none",
		Doc:  "Checks nothing: anyone who reaches the address starts the rules. Written verify: none.",
		New:  func() Verifier { return &None{} },
	})
}

// None takes every request.
type None struct{}

// Verify never fails.
func (*None) Verify(*request.Request, [][]byte, time.Time) (int, error) { return -1, nil }

// Sign does nothing.
func (*None) Sign(*request.Request, []byte, time.Time) error { return nil }

// Withhold names no headers.
func (*None) Withhold() []string { return nil }

// NeedsSecret is false.
func (*None) NeedsSecret() bool { return false }
