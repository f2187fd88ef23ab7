// Package request is one HTTP request as it arrived, with its body parsed at most once and only
// when somebody asks. Nothing of it is parsed before it was verified: Body, Header and RawQuery
// are raw, the methods parse.
package request

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Format is how a body is read. The zero Format goes by the Content-Type.
type Format string

// The formats.
const (
	FormatJSON      Format = "json"
	FormatForm      Format = "form"
	FormatXML       Format = "xml"
	FormatText      Format = "text"
	FormatMultipart Format = "multipart"
	FormatLines     Format = "jsonl" // one JSON value on each line
)

// Formats lists them.
func Formats() []Format {
	return []Format{FormatJSON, FormatLines, FormatForm, FormatMultipart, FormatXML, FormatText}
}

// Request is one request. It belongs to one goroutine.
type Request struct {
	Scheme  string // https or http as the sender used it; "" when that is not known
	RawPath string // the path as it was sent, escapes and all; "" when it is Path's usual form
	// Certificates are those of the sender's TLS connection, its own first; nothing of them has
	// been checked.
	Certificates []*x509.Certificate
	Method       string
	Path         string // decoded, as routed
	RawQuery     string
	Host         string
	Header       http.Header
	IP           netip.Addr
	Params       map[string]string // of the path
	Body         []byte            // raw, whole
	ReceivedAt   time.Time
	Format       Format

	payload      any
	payloadErr   error
	payloadKnown bool
	part         any // of the payload, as partOf wants it
	partErr      error
	partOf       *Fields // nil: it was not read
	form         map[string]any
	formErr      error
	formKnown    bool
	query        url.Values
}

// Replace gives the request another query and body, and forgets what was parsed of the old ones.
func (r *Request) Replace(query string, body []byte) {
	r.RawQuery, r.Body = query, body
	r.payload, r.payloadErr, r.payloadKnown = nil, nil, false
	r.part, r.partErr, r.partOf = nil, nil, nil
	r.form, r.formErr, r.formKnown = nil, nil, false
	r.query = nil
}

// DecodeError says why a body cannot be read. Its text holds nothing of the body.
type DecodeError struct {
	Format Format
	Err    error
}

// Error implements error.
func (e *DecodeError) Error() string { return fmt.Sprintf("body is not %s: %s", e.Format, e.Err) }

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// Payload is the parsed body. The error is a *DecodeError. An empty body is nil.
//
// JSON objects are map[string]any, lists []any, integers int64 and fractions float64, and either
// is a Number when these would lose digits. A form is a map from names to strings, or to lists
// of them when a name repeats; one that holds nothing but payload={…} is that JSON object. Files
// of a multipart form are maps of filename, content_type, size and, when it is text, content. JSON
// lines are a list.
// XML is nested maps: attributes as "@name", text as "#text", and an element with nothing but
// text is that text. Text is a string; a body that nobody says is text, and that is none, is nil.
func (r *Request) Payload() (any, error) {
	if !r.payloadKnown {
		r.payload, r.payloadErr = Decode(r.Format, r.Header.Get("Content-Type"), r.Body)
		r.payloadKnown = true
	}
	return r.payload, r.payloadErr
}

// Query is the query, parsed; what is malformed in it is left out.
func (r *Request) Query() map[string][]string {
	if r.query == nil {
		r.query, _ = url.ParseQuery(r.RawQuery) // keeps what it could read
	}
	return r.query
}

// QueryValue is the first value of a query parameter, or "".
func (r *Request) QueryValue(name string) string {
	if values := r.Query()[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Form is the fields of a form body, multipart or not, without GitHub's unwrapping; nil when the
// body is no form. It is read at most once. The error is a *DecodeError.
func (r *Request) Form() (map[string]any, error) {
	if !r.formKnown {
		r.form, r.formErr = r.readForm()
		r.formKnown = true
	}
	return r.form, r.formErr
}

func (r *Request) readForm() (map[string]any, error) {
	switch format(r.Format, r.Header.Get("Content-Type"), r.Body) {
	case FormatMultipart:
		payload, err := r.Payload()
		form, _ := payload.(map[string]any)
		return form, err
	case FormatForm:
		form, err := decodeForm(r.Body)
		if err != nil {
			return nil, &DecodeError{FormatForm, err}
		}
		return form, nil
	}
	return nil, nil
}

// HeaderValue is a header's value, whether it is there, and whether it was sent more than once.
func (r *Request) HeaderValue(name string) (value string, ok, twice bool) {
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", false, false
	}
	return values[0], true, len(values) > 1
}

// Decode reads a body. The error is a *DecodeError.
func Decode(f Format, contentType string, body []byte) (any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	declared := f
	f = format(f, contentType, body)
	if f == FormatText && declared == "" && !isText(contentType) && !utf8.Valid(body) {
		return nil, nil // nobody said that it is text: there is nothing to parse
	}
	var payload any
	var err error
	switch f {
	case FormatJSON:
		payload, err = decodeJSON(body)
	case FormatForm:
		payload, err = decodeFormPayload(body)
	case FormatMultipart:
		payload, err = decodeMultipart(contentType, body)
	case FormatXML:
		payload, err = decodeXML(body)
	case FormatLines:
		payload, err = decodeLines(body)
	default:
		payload, err = decodeText(body)
	}
	if err != nil {
		return nil, &DecodeError{f, err}
	}
	return payload, nil
}

// format decides how a body is read: as configured, by its Content-Type, or, without one, as
// JSON when it begins like an object or list, and as text otherwise.
func format(configured Format, contentType string, body []byte) Format {
	if configured == FormatForm && strings.HasPrefix(strings.ToLower(contentType), "multipart/form-data") {
		return FormatMultipart
	}
	if configured != "" {
		return configured
	}
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json") || media == "text/json":
		return FormatJSON
	case media == "application/x-ndjson" || media == "application/jsonl" || media == "application/json-lines" || media == "application/x-jsonlines":
		return FormatLines
	case media == "application/x-www-form-urlencoded":
		if looksLikeJSON(body) {
			return FormatJSON // curl -d sends JSON under this type; a form never begins so
		}
		return FormatForm
	case media == "multipart/form-data":
		return FormatMultipart
	case media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml"):
		return FormatXML
	case strings.HasPrefix(media, "text/"):
		return FormatText
	case looksLikeJSON(body):
		return FormatJSON
	}
	return FormatText
}

func isText(contentType string) bool { return strings.HasPrefix(strings.ToLower(contentType), "text/") }

func looksLikeJSON(body []byte) bool {
	for _, c := range body {
		switch c {
		case ' ', '\t', '\r', '\n':
		case '{', '[':
			return true
		default:
			return false
		}
	}
	return false
}
