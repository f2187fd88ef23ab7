package cli

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

type deliveriesSaveCmd struct {
	ID  string `arg:"" complete:"deliveries" help:"Id of the delivery, or at least 6 characters of its beginning or end."`
	Out string `short:"o" placeholder:"FILE" help:"Write it here instead of to standard output."`
}

// Help is the longer text of the command.
func (deliveriesSaveCmd) Help() string {
	return `Writes the request of a delivery as a file that "explain --request" and the tests: of a configuration read. Headers that carried a signature or a secret were not kept, and are not in it. The test to paste is printed beside it.

Example:

    tenterhook deliveries save 3f9a2b1c -o testdata/push.json
`
}

// saved is the file: what request.File reads.
type saved struct {
	Method  string              `json:"method"`
	URL     string              `json:"url"`
	Headers map[string][]string `json:"headers"`
	Body    *string             `json:"body,omitempty"`
	Base64  *string             `json:"body_base64,omitempty"`
}

// Run saves.
func (c *deliveriesSaveCmd) Run(e *env) error {
	return e.reading(func(from source) error {
		id, err := deliveryID(e.ctx, from, c.ID)
		if err != nil {
			return err
		}
		d, err := from.Delivery(e.ctx, id)
		if err != nil {
			return err
		}
		body, err := from.Body(e.ctx, id)
		if err != nil {
			return err
		}
		if err := c.write(e, newSaved(&d, body)); err != nil {
			return err
		}
		e.suggestTest(&d, cmp.Or(c.Out, "FILE"))
		return nil
	})
}

func newSaved(d *admin.DeliveryDetail, body []byte) saved {
	s := saved{Method: d.Method, URL: d.Path, Headers: d.Headers}
	if d.Query != "" {
		s.URL += "?" + d.Query
	}
	if text := string(body); utf8.ValidString(text) {
		s.Body = &text
	} else {
		text = base64.StdEncoding.EncodeToString(body)
		s.Base64 = &text
	}
	return s
}

func (c *deliveriesSaveCmd) write(e *env, s saved) (err error) {
	if c.Out == "" {
		return writeJSON(e.stdout, s)
	}
	// Not for others: a payload may hold what only we were told.
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fail(fmt.Errorf("save: %w", err), "a file that is there is not written over")
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	return writeJSON(f, s)
}

// suggestTest prints the test that holds the hook to what it made of a delivery.
func (e *env) suggestTest(d *admin.DeliveryDetail, file string) {
	var rules []string
	for _, r := range d.Rules {
		if r.Verdict == job.Match {
			rules = append(rules, r.Rule)
		}
	}
	status := 200
	if len(rules) > 0 {
		status = 202
	}
	e.say("the test for it:")
	name := strings.TrimSpace(cmp.Or(d.Event, d.Hook) + " of " + d.ReceivedAt.Format("2006-01-02"))
	fmt.Fprintf(e.stderr, "  - name: %s\n    hook: %s\n    delivery: %s\n    at: %s\n    expect: {status: %d, rules: [%s]}\n",
		printable(name), printable(d.Hook), printable(file), d.ReceivedAt.String(), status, printable(strings.Join(slices.Clone(rules), ", ")))
}
