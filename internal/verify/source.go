package verify

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
)

// Source says where in a request the signature or token is: in a header, a query parameter or a
// field of the body. Exactly one of the three is set.
type Source struct {
	Header []string `yaml:"header" doc:"Header that holds it, or a list tried in order."`
	Query  string   `yaml:"query" doc:"Query parameter that holds it."`
	Field  string   `yaml:"field" doc:"Field of the body that holds it: a.b is the member b of a."`
}

// value is what stands there, and the name of the place as errors have it.
func (s *Source) value(r *request.Request) (value, place string, err error) {
	switch {
	case s.Query != "":
		value, err = queryValue(r, s.Query)
		return value, "query parameter " + s.Query, err
	case s.Field != "":
		value, err = fieldValue(r, s.Field)
		return value, "field " + s.Field, err
	}
	for _, name := range s.Header {
		if _, ok, _ := r.HeaderValue(name); ok {
			value, err = headerValue(r, name)
			return value, "header " + name, err
		}
	}
	if len(s.Header) == 1 {
		return "", "", fmt.Errorf("header %s is missing", s.Header[0])
	}
	return "", "", fmt.Errorf("none of the headers %s is there", strings.Join(s.Header, ", "))
}

// set writes the value where value finds it.
func (s *Source) set(r *request.Request, value string) error {
	switch {
	case s.Query != "":
		query := request.Request{RawQuery: r.RawQuery}
		values := url.Values(query.Query())
		values.Set(s.Query, value)
		r.Replace(values.Encode(), r.Body)
		return nil
	case s.Field != "":
		return SetField(r, s.Field, value)
	case len(s.Header) == 0:
		return errors.New("no header is named")
	}
	for _, name := range s.Header {
		r.Header.Del(name)
	}
	setHeader(r, s.Header[0], value)
	return nil
}

func (s *Source) check() []Problem {
	set := 0
	for _, is := range []bool{len(s.Header) > 0, s.Query != "", s.Field != ""} {
		if is {
			set++
		}
	}
	var problems []Problem
	switch set {
	case 0:
		problems = append(problems, Problem{Message: "says nowhere where to look: one of header, query and field is needed", Hints: []string{"header: X-Signature"}})
	case 1:
	default:
		problems = append(problems, Problem{Message: "only one of header, query and field can be given"})
	}
	for _, name := range s.Header {
		problems = append(problems, checkHeaderName(name, "header")...)
	}
	return problems
}

func checkHeaderName(name string, path ...string) []Problem {
	if isToken(name) {
		return nil
	}
	return []Problem{{Path: path, Message: fmt.Sprintf("%q is not the name of a header", name)}}
}

// isToken reports whether s is a token of RFC 9110, which header names are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// headerValue is the value of a header that must be there, once, and not be too long.
func headerValue(r *request.Request, name string) (string, error) {
	value, ok, twice := r.HeaderValue(name)
	if !ok && strings.EqualFold(name, "Host") { // net/http keeps it out of the headers
		value, ok = r.Host, true
	}
	switch {
	case !ok:
		return "", fmt.Errorf("header %s is missing", name)
	case twice:
		return "", fmt.Errorf("header %s was sent more than once", name)
	}
	return bounded(value, "header "+name)
}

func queryValue(r *request.Request, name string) (string, error) {
	values := r.Query()[name]
	switch {
	case len(values) == 0:
		return "", fmt.Errorf("query parameter %s is missing", name)
	case len(values) > 1:
		return "", fmt.Errorf("query parameter %s was sent more than once", name)
	}
	return bounded(values[0], "query parameter "+name)
}

func fieldValue(r *request.Request, path string) (string, error) {
	payload, err := r.Payload()
	if err != nil {
		return "", fmt.Errorf("find field %s: %w", path, err)
	}
	value := payload
	for step := range strings.SplitSeq(path, ".") {
		value = member(value, step)
	}
	switch v := value.(type) {
	case nil:
		return "", fmt.Errorf("field %s is missing", path)
	case string:
		return bounded(v, "field "+path)
	case int64:
		return strconv.FormatInt(v, 10), nil
	case request.Number:
		return bounded(string(v), "field "+path)
	}
	return "", fmt.Errorf("field %s is neither text nor a whole number", path)
}

func member(of any, name string) any {
	switch v := of.(type) {
	case map[string]any:
		return v[name]
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i]
		}
	}
	return nil
}

func bounded(value, what string) (string, error) {
	switch {
	case value == "":
		return "", fmt.Errorf("%s is empty", what)
	case len(value) > maxValue:
		return "", fmt.Errorf("%s is longer than %d bytes", what, maxValue)
	}
	return value, nil
}

func setHeader(r *request.Request, name, value string) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set(name, value)
}
