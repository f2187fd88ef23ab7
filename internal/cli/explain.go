package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/store"
)

// explainCmd is "explain".
type explainCmd struct {
	Delivery string `arg:"" optional:"" complete:"deliveries" help:"Id of a stored delivery."`
	Request  string `placeholder:"FILE" help:"Request to explain instead: a JSON file with method, url, headers and body or body_base64; - is standard input."`
	Recorded bool   `help:"What was decided when the delivery arrived, as it was recorded with it, whatever the configuration says now."`
	At       string `placeholder:"TIME" help:"The clock, for signatures with a time: RFC 3339 or seconds since 1970. Default: now."`
	JSON     bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (explainCmd) Help() string {
	return `Says what the hooks would do with a request, and why: its verification, its delivery key, each rule's verdict with the values that decided it, and what would run. Nothing is run, and --request needs no daemon.

Of a stored delivery it says what the configuration makes of it now. --recorded says what was decided when it arrived: that is kept with the delivery, with the condition of each rule as it was, so it answers after the configuration has changed or is broken.

Examples:

    tenterhook explain --request request.json
    tenterhook explain 3f9a2b1c
    tenterhook explain 3f9a2b1c --recorded
`
}

// Run explains.
func (c explainCmd) Run(e *env) error {
	x, err := c.explain(e)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, x)
	}
	printExplanation(e, x)
	return nil
}

func (c explainCmd) explain(e *env) (hook.Explanation, error) {
	switch {
	case (c.Request == "") == (c.Delivery == ""):
		return hook.Explanation{}, misuse(errors.New("explain wants the id of a delivery, or --request FILE"))
	case c.Recorded && c.Request != "":
		return hook.Explanation{}, misuse(errors.New("--recorded is for a stored delivery: of a request file nothing was recorded"))
	case c.Recorded:
		return c.explainRecorded(e)
	}
	conf, err := e.load()
	if err != nil {
		if c.Delivery != "" {
			e.say("%s --recorded says what was decided when it arrived, and needs no configuration that is whole", e.err.paint(faint, "hint:"))
		}
		return hook.Explanation{}, err
	}
	if c.Request != "" {
		return c.explainRequest(e, conf)
	}
	return c.explainStored(e, conf)
}

func (c explainCmd) explainRequest(e *env, conf *daemon.Config) (hook.Explanation, error) {
	at, err := c.clock(e)
	if err != nil {
		return hook.Explanation{}, err
	}
	r, err := c.readRequest(e)
	if err != nil {
		return hook.Explanation{}, fail(fmt.Errorf("read %q: %w", c.Request, err), `a request file is {"method":"POST","url":"/path","headers":{},"body":""}`)
	}
	r.ReceivedAt = at
	h, params := conf.Hooks.Route(r.Path, r.RawPath)
	if h == nil {
		return hook.Explanation{}, fail(fmt.Errorf("no hook has the path %q", r.Path), "the daemon would answer 404", "paths: "+paths(conf))
	}
	r.Params, r.Format = params, h.Format
	return h.Explain(r, at), nil
}

func (c explainCmd) clock(e *env) (time.Time, error) {
	if c.At == "" {
		return e.now(), nil
	}
	if seconds, err := strconv.ParseInt(c.At, 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, c.At)
	if err != nil {
		return at, misuse(fmt.Errorf("%q is not a time", c.At), "such as 2026-01-02T15:04:05Z or 1767366245")
	}
	return at, nil
}

func (c explainCmd) readRequest(e *env) (*request.Request, error) {
	in := e.stdin
	if c.Request != "-" {
		f, err := os.Open(c.Request)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxSent))
	if err != nil {
		return nil, err
	}
	var file request.File
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	return file.Request()
}

func paths(conf *daemon.Config) string {
	var all []string
	for _, h := range conf.Hooks.Hooks() {
		all = append(all, h.Path)
	}
	return strings.Join(all, ", ")
}

// explainStored explains a stored delivery by the configuration as it is now.
func (c explainCmd) explainStored(e *env, conf *daemon.Config) (x hook.Explanation, err error) {
	err = e.reading(func(s source) error {
		d, err := c.delivery(e, s)
		if err != nil {
			return err
		}
		h := conf.Hooks.Hook(d.Hook)
		if h == nil {
			return fail(fmt.Errorf("hook %q of the delivery is no longer configured", d.Hook), "--recorded says what was decided when it arrived")
		}
		if d.Body, err = s.Body(e.ctx, d.ID); err != nil {
			return err
		}
		x = h.ExplainStored(&d)
		return nil
	})
	return x, err
}

// explainRecorded says what was decided when a delivery arrived.
func (c explainCmd) explainRecorded(e *env) (x hook.Explanation, err error) {
	err = e.reading(func(s source) error {
		d, err := c.delivery(e, s)
		if err != nil {
			return err
		}
		found, _, err := s.Jobs(e.ctx, store.Filter{Delivery: d.ID, Limit: admin.MaxLimit})
		if err != nil {
			return err
		}
		var jobs []job.Job // newest first, so that the first of each rule comes last
		for _, j := range found {
			jobs = append(jobs, job.Job{Rule: j.Rule, ConcurrencyKey: j.ConcurrencyKey})
		}
		x = hook.ExplainRecorded(&d, jobs)
		return nil
	})
	return x, err
}

// delivery reads the delivery that is meant, without its body.
func (c explainCmd) delivery(e *env, s source) (job.Delivery, error) {
	id, err := deliveryID(e.ctx, s, c.Delivery)
	if err != nil {
		return job.Delivery{}, err
	}
	detail, err := s.Delivery(e.ctx, id)
	if err != nil {
		return job.Delivery{}, err
	}
	d := job.Delivery{
		ID: detail.ID, Hook: detail.Hook, Key: detail.Key, Event: detail.Event, ReceivedAt: detail.ReceivedAt.Time, Method: detail.Method,
		Path: detail.Path, Query: detail.Query, IP: detail.IP, Header: detail.Headers, Params: detail.Params, Secret: detail.Secret,
	}
	for _, r := range detail.Rules {
		d.Verdicts = append(d.Verdicts, job.RuleVerdict(r))
	}
	return d, nil
}
