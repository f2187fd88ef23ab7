package cli

import (
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// deliveriesCmd is "deliveries".
type deliveriesCmd struct {
	List deliveriesListCmd `cmd:"" default:"withargs" group:"commands" help:"List deliveries, newest first."`
	Show deliveriesShowCmd `cmd:"" group:"commands" help:"Show one delivery: its request, the decision, its body and jobs."`
	Save deliveriesSaveCmd `cmd:"" group:"commands" help:"Write a delivery to a file, for explain and tests."`

	Replay deliveriesReplayCmd `cmd:"" group:"commands" help:"Make new jobs of stored deliveries."`
}

type deliveriesListCmd struct {
	filterFlags
	Outcome string `placeholder:"OUTCOME" help:"Only with this outcome: accepted or ignored."`
	Match   string `placeholder:"EXPR" help:"Only those for which the condition holds: match: of a rule, with the same names."`
	Grep    string `placeholder:"TEXT" help:"Only those with the text in the body, or in a line \"Name: value\" of the headers that were kept."`
	All     bool   `help:"Every one, not --limit of them."`
}

// Help is the longer text of the command.
func (deliveriesListCmd) Help() string {
	return `--match and --grep look into what was stored, newest first, and print what they find as they find it.

Examples:

    tenterhook deliveries --hook site --since 24h
    tenterhook deliveries --state failed --json | jq -r '.[].id'
    tenterhook deliveries --match 'payload.amount > 1000 && event == "invoice.paid"' --since 30d
    tenterhook deliveries --grep 9f2c41e0 --all
`
}

// Run lists.
func (c *deliveriesListCmd) Run(e *env) error {
	f, err := c.filter(e.now())
	if err != nil {
		return err
	}
	f.Outcome = job.Outcome(c.Outcome)
	if err := admin.CheckOutcome(f.Outcome); err != nil {
		return misuse(fmt.Errorf("--outcome %s: %w", c.Outcome, err))
	}
	query := admin.Search{Match: c.Match, Grep: c.Grep}
	if c.All || !query.IsZero() {
		return c.search(e, f, query)
	}
	return e.reading(func(from source) error {
		list, next, err := from.Deliveries(e.ctx, f)
		if err != nil {
			return err
		}
		if c.JSON {
			err = writeJSON(e.stdout, list)
		} else {
			c.print(e, list)
		}
		e.sayMore(next)
		return err
	})
}

func (c *deliveriesListCmd) print(e *env, list []admin.Delivery) {
	if len(list) == 0 {
		e.say("no deliveries found")
		return
	}
	t := deliveriesTable()
	e.deliveryRows(&t, list)
	t.write(e.stdout, e.out)
}

func deliveriesTable() table {
	return table{columns: []column{
		{title: "DELIVERY"},
		{title: "HOOK"},
		{title: "EVENT", gives: true},
		{title: "OUTCOME"},
		{title: "SIZE", right: true},
		{title: "AGE", right: true},
		{title: "JOBS", right: true},
	}}
}

func (e *env) deliveryRows(t *table, list []admin.Delivery) {
	for _, d := range list {
		t.row(cell{shortID(d.ID), plain}, cell{d.Hook, plain}, cell{d.Event, plain}, cell{d.Outcome, outcomePaint(d.Outcome)},
			cell{size(d.Size), plain}, cell{age(e.now(), d.ReceivedAt.Time), plain}, cell{strconv.Itoa(len(d.Jobs)), plain})
	}
}

func outcomePaint(outcome string) style {
	if outcome == string(job.Accepted) {
		return green
	}
	return faint
}

type deliveriesShowCmd struct {
	ID   string `arg:"" optional:"" complete:"deliveries" help:"Id of the delivery, or at least 6 characters of its beginning or end. Default: the newest."`
	Body bool   `help:"Print the body alone, exactly as it arrived."`
	JSON bool   `name:"json" help:"Print one JSON document (without the body)."`
}

// Help is the longer text of the command.
func (deliveriesShowCmd) Help() string {
	return `Examples:

    tenterhook deliveries show 3f9a2b1c
    tenterhook deliveries show 3f9a2b1c --body > push.json
`
}

// Run shows.
func (c *deliveriesShowCmd) Run(e *env) error {
	if c.Body && c.JSON {
		return misuse(fmt.Errorf("--body and --json exclude each other"))
	}
	return e.reading(func(from source) error {
		id, err := shownDelivery(e.ctx, from, c.ID)
		if err != nil {
			return err
		}
		if c.Body {
			return c.body(e, from, id)
		}
		d, err := from.Delivery(e.ctx, id)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(e.stdout, d)
		}
		body, err := from.Body(e.ctx, id)
		if err != nil {
			return err
		}
		jobs, _, err := from.Jobs(e.ctx, store.Filter{Delivery: id, Limit: admin.MaxLimit})
		if err != nil {
			return err
		}
		showDelivery(e, &d, body, jobs)
		return nil
	})
}

func (c *deliveriesShowCmd) body(e *env, from source, id string) error {
	body, err := from.Body(e.ctx, id)
	if err != nil {
		return err
	}
	if e.out.terminal {
		body = []byte(printableText(string(body)))
	}
	_, err = e.stdout.Write(body)
	return err
}

func showDelivery(e *env, d *admin.DeliveryDetail, body []byte, jobs []admin.Job) {
	target := d.Path
	if d.Query != "" {
		target += "?" + d.Query
	}
	secret := "none needed"
	if d.Secret >= 0 {
		secret = fmt.Sprintf("number %d matched", d.Secret+1)
	}
	facts(e.stdout, e.out,
		[2]string{"delivery", printable(d.ID)},
		[2]string{"hook", printable(d.Hook)},
		[2]string{"event", printable(d.Event)},
		[2]string{"key", printable(d.Key)},
		[2]string{"received", fmt.Sprintf("%s (%s ago)", localTime(d.ReceivedAt.Time), age(e.now(), d.ReceivedAt.Time))},
		[2]string{"outcome", e.out.paint(outcomePaint(d.Outcome), printable(d.Outcome))},
		[2]string{"origin", printable(d.Origin)},
		[2]string{"request", printable(d.Method + " " + target)},
		[2]string{"from", printable(d.IP)},
		[2]string{"secret", secret},
		[2]string{"config", printable(d.Config)},
		[2]string{"held", heldState(e.now(), d.Held)},
	)
	e.headers(d)
	e.decision(d.Rules)
	if len(jobs) > 0 {
		slices.Reverse(jobs) // in the order they were made, like the rules above
		e.heading("jobs")
		jobsTable(e, jobs)
	}
	e.heading("body (" + size(d.Size) + ")")
	e.body(body)
}

func (e *env) heading(title string) { fmt.Fprintf(e.stdout, "\n%s\n", e.out.paint(bold, title)) }

func (e *env) headers(d *admin.DeliveryDetail) {
	e.heading("headers")
	lines := map[string][]string{}
	for name, values := range d.Headers {
		lines[textproto.CanonicalMIMEHeaderKey(name)] = values
	}
	for _, name := range d.Withheld {
		lines[name] = nil
	}
	names := make([]string, 0, len(lines))
	for name := range lines {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range lines[name] {
			fmt.Fprintf(e.stdout, "  %s: %s\n", e.out.paint(faint, printable(name)), printable(value))
		}
		if lines[name] == nil {
			fmt.Fprintf(e.stdout, "  %s: %s\n", e.out.paint(faint, printable(name)), e.out.paint(faint, "(withheld, not stored)"))
		}
	}
}

// decision shows what each rule said when the delivery arrived, and the values that decided.
func (e *env) decision(rules []admin.RuleVerdict) {
	if len(rules) == 0 {
		return
	}
	e.heading("rules")
	width := 0
	for _, r := range rules {
		width = max(width, len(r.Rule))
	}
	for _, r := range rules {
		line := fmt.Sprintf("  %-*s  %s", width, printable(r.Rule), e.verdict(r.Verdict))
		if r.Error != "" && len(r.Values) == 0 {
			line += ": " + printable(r.Error)
		}
		fmt.Fprintln(e.stdout, line)
		if len(r.Values) > 0 {
			e.condition("", r.Values, r.Error, r.Cut)
		}
	}
}

// body shows a body for people: JSON indented, other text as it is, anything else as its size.
func (e *env) body(body []byte) {
	switch text := jsontext.Value(slices.Clone(body)); {
	case len(body) == 0:
		fmt.Fprintln(e.stdout, "  (empty)")
	case text.Indent(jsontext.WithIndent("  ")) == nil:
		fmt.Fprintln(e.stdout, indent(printableText(string(text))))
	case utf8.Valid(body):
		fmt.Fprintln(e.stdout, indent(printableText(withoutCR(string(body)))))
	default:
		fmt.Fprintln(e.stdout, "  (not text: --body prints it)")
	}
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
