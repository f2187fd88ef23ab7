package hook

import (
	"strings"
	"testing"
)

func TestIdentify_ACloudEventSaysWhatItIs(t *testing.T) {
	const hooks = `[{name: it, path: /x, verify: none, run: ":"}]`
	for what, tt := range map[string]struct {
		body       string
		header     []string
		event, key string
	}{
		"structured": {`{"specversion":"1.0","type":"a.b","source":"/s","id":"1","data":{}}`, []string{"Content-Type", "application/cloudevents+json; charset=utf-8"}, "a.b", "/s 1"},
		"binary":     {`{"n":1}`, []string{"Ce-Specversion", "1.0", "Ce-Type", "a.b", "Ce-Source", "/s", "Ce-Id", "1"}, "a.b", "/s 1"},
		"batch":      {`[{"specversion":"1.0","type":"a.b","source":"/s","id":"1"}]`, []string{"Content-Type", "application/cloudevents-batch+json"}, "a.b", ""},
		"none":       {`{"type":"a.b","source":"/s","id":"1"}`, nil, "", ""},
	} {
		d, _ := planned(t, hooks, posted("/x", tt.body, tt.header...))
		if d.Event != tt.event || tt.key != "" && d.Key != tt.key || tt.key == "" && !strings.HasPrefix(d.Key, "sha256:") {
			t.Errorf("%s: event %q, key %q", what, d.Event, d.Key)
		}
	}
}
