package request

import "bytes"

// Fields are the names of a JSON object whose values are wanted, each with the names that are wanted
// of an object there. Nil is all of it.
type Fields map[string]Fields

// With adds what is at a path of names, whole. It returns the fields, made when there were none; use
// it on what began as Fields{}.
func (f Fields) With(path ...string) Fields {
	if f == nil || len(path) == 0 {
		return nil
	}
	next, ok := f[path[0]]
	if !ok {
		next = Fields{}
	}
	f[path[0]] = next.With(path[1:]...)
	return f
}

// Part is Payload without what nobody wants of a JSON object: of a push of 20 kB a rule about its
// branch reads five values, and most of the work with a body is to make the others. They are checked
// all the same, so that the error is that of Payload, and a value that is wanted is the same, too.
// It is read once for a wanted, which must not change. Without wanted it is Payload.
func (r *Request) Part(wanted *Fields) (any, error) {
	if wanted == nil || *wanted == nil || r.payloadKnown || len(r.Body) == 0 || format(r.Format, r.Header.Get("Content-Type"), r.Body) != FormatJSON {
		return r.Payload()
	}
	if r.partOf != wanted {
		r.partOf, r.partErr = wanted, nil
		var err error
		if r.part, err = readJSON(r.Body, *wanted); err != nil {
			r.part, r.partErr = nil, &DecodeError{FormatJSON, err}
		}
	}
	return r.part, r.partErr
}

// inRange reports whether a number is certainly one that float64 reaches: so many digits are below the
// largest, unless there is an exponent.
func inRange(number []byte) bool {
	return len(number) < 300 && !bytes.ContainsAny(number, "eE")
}
