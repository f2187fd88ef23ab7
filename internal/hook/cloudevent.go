package hook

import (
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
)

// cloudEvent is the identity of a CloudEvent (CloudEvents 1.0, HTTP protocol binding): its type,
// and its source and id, which together tell it from every other. A batch has the type of its
// first event and no id. All are "" for any other request. The error is a *request.DecodeError.
func cloudEvent(r *request.Request) (kind, key string, err error) {
	media, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	switch media = strings.TrimSpace(media); {
	case media == "application/cloudevents+json":
		payload, err := r.Payload()
		event, _ := payload.(map[string]any)
		return member(event, "type"), cloudKey(member(event, "source"), member(event, "id")), err
	case media == "application/cloudevents-batch+json":
		payload, err := r.Payload()
		if batch, _ := payload.([]any); len(batch) > 0 {
			event, _ := batch[0].(map[string]any)
			return member(event, "type"), "", err
		}
		return "", "", err
	case r.Header.Get("Ce-Specversion") != "":
		return r.Header.Get("Ce-Type"), cloudKey(r.Header.Get("Ce-Source"), r.Header.Get("Ce-Id")), nil
	}
	return "", "", nil
}

func cloudKey(source, id string) string {
	if source == "" || id == "" {
		return ""
	}
	return source + " " + id
}

func member(of map[string]any, name string) string {
	s, _ := of[name].(string)
	return s
}
