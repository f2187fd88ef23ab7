package codec

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
)

// A trace is the values of a delivery's verdicts. It is written with every delivery, so it is
// small: a part of a condition is a place in the condition's text, and true, false and null are one
// byte. For each verdict: the condition, whether values were cut, their number; for each value: its
// part, and a kind with what belongs to it.
const traceVersion = 1

// The kinds of a value.
const (
	kindNull = iota
	kindTrue
	kindFalse
	kindJSON
	kindError // its text, and null
)

// EncodeTrace returns the conditions and values of verdicts, nil when there are none.
func EncodeTrace(verdicts []job.RuleVerdict) []byte {
	if !hasTrace(verdicts) {
		return nil
	}
	b := append(make([]byte, 0, 128), traceVersion)
	for i := range verdicts {
		v := &verdicts[i]
		b = appendString(b, v.Match)
		cut := byte(0)
		if v.Cut {
			cut = 1
		}
		b = append(b, cut)
		b = binary.AppendUvarint(b, uint64(len(v.Values)))
		for _, value := range v.Values {
			b = appendPart(b, v.Match, value.Expr)
			b = appendValue(b, &value)
		}
	}
	return b
}

func hasTrace(verdicts []job.RuleVerdict) bool {
	for i := range verdicts {
		if v := &verdicts[i]; v.Match != "" || len(v.Values) > 0 || v.Cut {
			return true
		}
	}
	return false
}

// appendPart writes a part as its place in the condition, from 1, and its length; or 0 and itself.
func appendPart(b []byte, match, part string) []byte {
	if at := strings.Index(match, part); at >= 0 && part != "" {
		b = binary.AppendUvarint(b, uint64(at+1))
		return binary.AppendUvarint(b, uint64(len(part)))
	}
	return appendString(append(b, 0), part)
}

func appendValue(b []byte, v *job.RuleValue) []byte {
	switch {
	case v.Error != "":
		return appendString(append(b, kindError), v.Error)
	case len(v.Value) == 0 || string(v.Value) == "null":
		return append(b, kindNull)
	case string(v.Value) == "true":
		return append(b, kindTrue)
	case string(v.Value) == "false":
		return append(b, kindFalse)
	}
	return appendString(append(b, kindJSON), string(v.Value))
}

var errTrace = errors.New("the stored values of a decision are damaged")

// DecodeTrace undoes EncodeTrace into the verdicts it was made of.
func DecodeTrace(b []byte, verdicts []job.RuleVerdict) error {
	if len(b) == 0 {
		return nil
	}
	if b[0] != traceVersion {
		return fmt.Errorf("%w: version %d", errTrace, b[0])
	}
	r := &traceReader{left: b[1:]}
	for i := range verdicts {
		v := &verdicts[i]
		v.Match = r.text()
		v.Cut = r.byte() == 1
		n := r.number()
		if n > uint64(len(r.left)) {
			return errTrace
		}
		for range n {
			v.Values = append(v.Values, r.value(v.Match))
		}
	}
	if r.damaged || len(r.left) > 0 {
		return errTrace
	}
	return nil
}

// traceReader takes a trace apart. What is missing is damage, and reads as nothing.
type traceReader struct {
	left    []byte
	damaged bool
}

func (r *traceReader) number() uint64 {
	n, size := binary.Uvarint(r.left)
	if size <= 0 {
		r.damaged, r.left = true, nil
		return 0
	}
	r.left = r.left[size:]
	return n
}

func (r *traceReader) byte() byte {
	if len(r.left) == 0 {
		r.damaged = true
		return 0
	}
	b := r.left[0]
	r.left = r.left[1:]
	return b
}

func (r *traceReader) text() string {
	s, rest, err := takeString(r.left)
	if err != nil {
		r.damaged, r.left = true, nil
		return ""
	}
	r.left = rest
	return s
}

func (r *traceReader) value(match string) (v job.RuleValue) {
	if at := r.number(); at == 0 {
		v.Expr = r.text()
	} else {
		n := r.number()
		if at > uint64(len(match)) || n > uint64(len(match))-(at-1) {
			r.damaged = true
			return v
		}
		v.Expr = match[at-1 : at-1+n]
	}
	v.Value = json.RawMessage("null")
	switch r.byte() {
	case kindNull:
	case kindTrue:
		v.Value = json.RawMessage("true")
	case kindFalse:
		v.Value = json.RawMessage("false")
	case kindJSON:
		v.Value = json.RawMessage(r.text())
		r.damaged = r.damaged || !json.Valid(v.Value)
	case kindError:
		v.Error = r.text()
	default:
		r.damaged = true
	}
	return v
}
