package adnanh

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tenterhook/tenterhook/internal/migrate"
)

// The sentences that the peer answers with.
const (
	notSatisfied = "Hook rules were not satisfied."
	didNotRun    = "Error occurred while executing the hook's command. Please check your logs for more details."
)

// respond are the answers. ruled says that a delivery may be one that no rule wants.
func (t *translation) respond(ruled bool) []migrate.Pair {
	h := t.hook
	var out migrate.Map
	headers, general := t.headers()
	status := t.status(h.success, "success-http-response-code")
	switch {
	case h.output:
		wait := "60s"
		if t.provider != "" {
			wait = "9s"
		}
		t.warn(h.line, h.col, "the answer waits %s for the command, not for ever; then it is 202 and the command goes on", wait)
		out = append(out, migrate.Pair{Key: "wait", Value: migrate.Word(wait)})
	case status == 0 && (h.message != "" || len(headers) > 0):
		status = http.StatusOK
	}
	if status != 0 && !(h.output && status == http.StatusOK) {
		out = append(out, migrate.Pair{Key: "status", Value: migrate.Word(fmt.Sprint(status))})
	}
	if len(headers) > 0 {
		out = append(out, migrate.Pair{Key: "headers", Value: headers})
	}
	if h.message != "" && !h.output {
		out = append(out, migrate.Pair{Key: "body", Value: migrate.Text(t.constant(h.message))})
	}
	if h.output && !h.outputOnError {
		out = append(out, migrate.Pair{Key: "failed", Value: migrate.Map{{Key: "body", Value: migrate.Text(didNotRun)}}})
	}
	mismatch := t.status(h.mismatch, "trigger-rule-mismatch-http-response-code")
	if ruled && (mismatch > http.StatusOK || status != 0 || len(headers) > 0) {
		out = append(out, migrate.Pair{Key: "ignored", Value: ignored(mismatch, headers, general)})
	}
	if !ruled && h.rule != nil && mismatch > http.StatusOK {
		t.warn(h.line, h.col, "trigger-rule-mismatch-http-response-code is left out: all of its rule says who may send, and whoever may not gets 401, not %d", mismatch)
	}
	if len(out) == 0 {
		return nil
	}
	return []migrate.Pair{{Key: "respond", Value: out}}
}

// ignored is the answer to a request that no rule wanted. It has the headers of -header only.
func ignored(status int, headers, general migrate.Map) migrate.Map {
	var out migrate.Map
	if status > http.StatusOK {
		out = append(out, migrate.Pair{Key: "status", Value: migrate.Word(fmt.Sprint(status))})
	}
	if len(headers) > len(general) {
		out = append(out, migrate.Pair{Key: "headers", Value: general})
	}
	return append(out, migrate.Pair{Key: "body", Value: migrate.Text(notSatisfied)})
}

// headers are those of the answer, and those among them that come from -header.
func (t *translation) headers() (all, general migrate.Map) {
	set := func(to migrate.Map, name, value string) migrate.Map {
		for i := range to {
			if strings.EqualFold(to[i].Key, name) {
				to[i].Value = migrate.Text(t.literal(value))
				return to
			}
		}
		return append(to, migrate.Pair{Key: name, Value: migrate.Text(t.literal(value))})
	}
	for _, pair := range t.options.Headers {
		name, value, _ := strings.Cut(pair, "=")
		all, general = set(all, strings.TrimSpace(name), strings.TrimSpace(value)), set(general, strings.TrimSpace(name), strings.TrimSpace(value))
	}
	for _, h := range t.hook.headers {
		if h.name == "" {
			t.warn(t.hook.line, t.hook.col, "a response header has no name, and is left out")
			continue
		}
		all = set(all, h.name, h.value)
	}
	return all, general
}

// status is a status as the peer takes it: one that it does not know is 200. 0 is none.
func (t *translation) status(code int, key string) int {
	switch {
	case code == 0:
		return 0
	case http.StatusText(code) == "":
		t.warn(t.hook.line, t.hook.col, "%s: %d is no status, and was answered as 200", key, code)
		return 0
	case code < 200 || code >= 300 && code < 400:
		t.warn(t.hook.line, t.hook.col, "%s: %d cannot be answered here: senders follow no redirects", key, code)
		return 0
	}
	return code
}
