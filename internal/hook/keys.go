package hook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

// The longest key of a flow control that is kept as it is.
const maxControlKey = 256

// keys evaluates the keys of the rule's controls for one delivery.
func (r *Rule) keys(in *expression.Input) (lane string, k job.Keys, err error) {
	for _, one := range []struct {
		name string
		on   bool
		key  *expression.Template
		into *string
	}{
		{"concurrency key", r.Concurrency != nil, r.laneTemplate(), &lane},
		{"once", r.controls.Once != nil, r.onceKey, &k.Once},
		{"sequence key", r.controls.Sequence, r.sequenceKey, &k.Sequence},
		{"rate_limit key", r.controls.RateLimit != nil, r.rateLimitKey, &k.RateLimit},
		{"debounce key", r.controls.Debounce != nil, r.debounceKey, &k.Debounce},
		{"throttle key", r.controls.Throttle != nil, r.throttleKey, &k.Throttle},
	} {
		if !one.on {
			continue
		}
		if *one.into, err = controlKey(one.key, in); err != nil {
			return "", k, fmt.Errorf("%s: %w", one.name, err)
		}
		if *one.into == "" && one.into == &k.Once {
			return "", k, errors.New("once: the key is empty, and every delivery would count as the same")
		}
		*one.into = cmp.Or(*one.into, r.Name)
	}
	if k.By, err = r.moment(in); err != nil {
		return "", k, fmt.Errorf("sequence by: %w", err)
	}
	if k.Priority, err = r.headStart(in); err != nil {
		return "", k, fmt.Errorf("priority: %w", err)
	}
	return lane, k, nil
}

func (r *Rule) laneTemplate() *expression.Template {
	if r.Concurrency == nil {
		return nil
	}
	return r.Concurrency.key
}

// controlKey is the value of a key, "" for one that is not written.
func controlKey(key *expression.Template, in *expression.Input) (string, error) {
	if key == nil {
		return "", nil
	}
	text, _, err := key.Text(in)
	if err != nil || len(text) <= maxControlKey {
		return text, err
	}
	sum := sha256.Sum256([]byte(text))
	return digestPrefix + hex.EncodeToString(sum[:]), nil
}

// moment is the value of sequence.by, "" without a sequence.
func (r *Rule) moment(in *expression.Input) (string, error) {
	if r.sequenceBy == nil {
		return "", nil
	}
	v, err := r.sequenceBy.Value(in)
	if err != nil {
		return "", err
	}
	if v == nil {
		return "", errors.New("the delivery has no such value")
	}
	return job.ParseMoment(numeral(v))
}

// numeral is a number or a text as it is written.
func numeral(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// headStart is the value of priority: whole seconds, at most job.MaxPriority either way.
func (r *Rule) headStart(in *expression.Input) (int, error) {
	if r.priority == nil {
		return 0, nil
	}
	v, err := r.priority.Value(in)
	if err != nil || v == nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(numeral(v), 64)
	if err != nil || f != f {
		return 0, fmt.Errorf("%s is no number", expression.Literal(numeral(v)).Source())
	}
	return int(max(-job.MaxPriority, min(f, job.MaxPriority))), nil
}

// burstBody is the JSON array of the payloads of a burst.
func (h *Hook) burstBody(burst []job.Delivery) ([]byte, error) {
	payloads := make([]json.RawMessage, len(burst))
	for i := range burst {
		body := burst[i].Body
		if !json.Valid(body) {
			r := Replay(&burst[i])
			r.Format = h.Format
			payload, err := r.Payload()
			var undecodable *request.DecodeError
			if errors.As(err, &undecodable) {
				payload = string(body)
			} else if err != nil {
				return nil, fmt.Errorf("read payload of delivery %s: %w", burst[i].ID, err)
			}
			if body, err = json.Marshal(payload); err != nil {
				return nil, fmt.Errorf("write payload of delivery %s: %w", burst[i].ID, err)
			}
		}
		payloads[i] = body
	}
	return json.Marshal(payloads)
}
