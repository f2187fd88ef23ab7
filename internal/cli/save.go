package cli

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
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
	IP      string              `json:"ip,omitempty"`
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
		jobs, _, err := from.Jobs(e.ctx, store.Filter{Delivery: id, Limit: admin.MaxLimit})
		if err != nil {
			return err
		}
		e.suggestTest(&d, jobs, c.besideConfig(e))
		return nil
	})
}

func newSaved(d *admin.DeliveryDetail, body []byte) saved {
	s := saved{Method: d.Method, URL: (&url.URL{Path: d.Path, RawQuery: d.Query}).String(), Headers: d.Headers, IP: d.IP}
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

// besideConfig is the file as a test names it: relative paths start at the configuration.
func (c *deliveriesSaveCmd) besideConfig(e *env) string {
	if c.Out == "" {
		return "FILE"
	}
	out, err := filepath.Abs(c.Out)
	if err != nil {
		return c.Out
	}
	dir, err := filepath.Abs(filepath.Dir(e.config))
	if err != nil {
		return out
	}
	if inside, err := filepath.Rel(dir, out); err == nil && filepath.IsLocal(inside) {
		return inside
	}
	return out
}

// suggestTest prints the test that holds the hook to what it made of a delivery.
func (e *env) suggestTest(d *admin.DeliveryDetail, jobs []admin.Job, file string) {
	expect := []string{}
	outcome, first := job.Ignored, ""
	var rules []string
	for _, r := range d.Rules {
		if r.Verdict == job.Match {
			rules, outcome = append(rules, yamlText(r.Rule)), job.Accepted
			first = cmp.Or(first, r.Rule)
		}
	}
	if status := e.statusOf(d, outcome); status > 0 {
		expect = append(expect, fmt.Sprintf("status: %d", status))
	}
	expect = append(expect, "rules: ["+strings.Join(rules, ", ")+"]")
	if d.Event != "" {
		expect = append(expect, "event: "+yamlText(d.Event))
	}
	for _, j := range slices.Backward(jobs) {
		if j.Rule == first && j.ConcurrencyKey != "" {
			expect = append(expect, "concurrency_key: "+yamlText(j.ConcurrencyKey))
			break
		}
	}
	name := fmt.Sprintf("%s of %s, %s", cmp.Or(d.Event, d.Hook), d.ReceivedAt.Format("2006-01-02"), shortID(d.ID))
	e.say("the test for it, to paste under tests:")
	fmt.Fprintf(e.stderr, "  - name: %s\n    hook: %s\n    delivery: %s\n    at: %s\n    expect: {%s}\n",
		yamlText(name), yamlText(d.Hook), yamlText(file), d.ReceivedAt.String(), strings.Join(expect, ", "))
}

// statusOf is what the hook answers as it is configured; 0 when that is not known.
func (e *env) statusOf(d *admin.DeliveryDetail, outcome job.Outcome) int {
	conf, problems := daemon.Load(e.configuration(nil), false)
	if problems.Err() != nil {
		return 0
	}
	h := conf.Hooks.Hook(d.Hook)
	if h == nil {
		return 0
	}
	stored := &job.Delivery{Hook: d.Hook, Key: d.Key, Event: d.Event, Outcome: outcome, Method: d.Method, Path: d.Path, Query: d.Query, Header: d.Headers}
	if a := h.Answer(hook.Replay(stored), stored); a != nil && a.Status != 0 {
		return a.Status
	}
	if outcome == job.Accepted {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// plainYAML is text that YAML reads as itself wherever it stands.
var plainYAML = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./ -]*[A-Za-z0-9_./-]$`)

// yamlText is a text as YAML, quoted where it must be.
func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null":
	default:
		if plainYAML.MatchString(s) {
			return s
		}
	}
	text, err := json.Marshal(s) // JSON text is YAML
	if err != nil {
		return strconv.Quote(s)
	}
	return printableJSON(string(text))
}
