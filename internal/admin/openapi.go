package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
)

// object is a JSON object of the document.
type object = map[string]any

// openAPI is the OpenAPI 3.1 document of the API, made from the table of its routes and from the
// structs that are its JSON.
func openAPI(routes []route) object {
	s := &schemas{named: object{}, seen: map[string]reflect.Type{}}
	paths := object{}
	for _, r := range routes {
		at := prefix + r.path
		methods, ok := paths[at].(object)
		if !ok {
			methods = object{}
			paths[at] = methods
		}
		methods[strings.ToLower(r.method)] = s.operation(r)
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Tenterhook admin API", "version": "1",
			"description": "Lists, retries, replays, cancels, pauses, explains and reloads. It cannot create or change commands, rules or secrets.",
		},
		"paths":    paths,
		"security": []any{object{"token": []any{}}, object{}},
		"components": object{
			"schemas": s.named,
			"securitySchemes": object{"token": object{
				"type": "http", "scheme": "bearer",
				"description": "admin.token or one of admin.tokens. Over a unix socket, or loopback without any token, the kernel says who asks.",
			}},
		},
	}
}

// pathParameter is "{id}" in a path.
var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// parameterHelp says what the parameters of queries and paths are.
var parameterHelp = map[string]object{
	"id":       {"description": "The id, whole.", "schema": object{"type": "string"}},
	"rule":     {"description": "Name of a rule.", "schema": object{"type": "string"}},
	"version":  {"description": "Number of a version; 0 is the newest.", "schema": object{"type": "integer", "minimum": 0}},
	"hook":     {"description": "Name of a hook.", "schema": object{"type": "string"}},
	"event":    {"description": "Event type of the delivery.", "schema": object{"type": "string"}},
	"delivery": {"description": "Id of the delivery.", "schema": object{"type": "string", "format": "uuid"}},
	"state":    {"description": "State of a job.", "schema": object{"$ref": "#/components/schemas/State"}},
	"outcome":  {"description": "What became of the delivery.", "schema": object{"type": "string", "enum": []any{"accepted", "ignored", "duplicate"}}},
	"match":    {"description": "Only those for which the condition holds: match of a rule, with the same names.", "schema": object{"type": "string"}},
	"grep":     {"description": "Only those with the text in the body, or in a line \"Name: value\" of the headers.", "schema": object{"type": "string"}},
	"since":    {"description": "Not before: RFC 3339, or how long ago, such as 90s, 24h or 7d.", "schema": object{"type": "string"}},
	"until":    {"description": "Before; as since.", "schema": object{"type": "string"}},
	"limit":    {"description": "How many at most.", "schema": object{"type": "integer", "minimum": 1, "maximum": MaxLimit, "default": DefaultLimit}},
	"cursor":   {"description": "Where the page before ended: take it from the answer's Link header, rel=\"next\".", "schema": object{"type": "string"}},
	"attempt":  {"description": "Number of the attempt, from 1.", "schema": object{"type": "integer", "minimum": 1}},
	"all":      {"description": "Any value: those that have ended, too.", "schema": object{"type": "string"}},
	"kind":     {"description": "Kinds of events, with commas between; all when it is left out.", "schema": object{"type": "string"}},
	"after":    {"description": "Id of the last event that was seen, as the header Last-Event-ID.", "schema": object{"type": "string"}},
}

func (s *schemas) operation(r route) object {
	op := object{
		"summary": r.summary, "operationId": operationID(r), "x-scope": string(r.scope),
		"responses": object{"default": object{
			"description": "Refused, or failed.",
			"content":     object{"application/problem+json": object{"schema": s.of(reflect.TypeFor[Problem]())}},
		}},
	}
	var parameters []any
	for _, found := range pathParameter.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, parameter(found[1], "path"))
	}
	for _, name := range r.query {
		parameters = append(parameters, parameter(name, "query"))
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if r.body != nil {
		op["requestBody"] = object{"required": true, "content": object{mediaJSON: object{"schema": s.of(reflect.TypeOf(r.body))}}}
	}
	for _, a := range r.answers {
		op["responses"].(object)[strconv.Itoa(a.status)] = s.answer(a)
	}
	return op
}

func parameter(name, in string) object {
	p := object{"name": name, "in": in}
	for key, value := range parameterHelp[name] {
		p[key] = value
	}
	if in == "path" {
		p["required"] = true
	}
	return p
}

func (s *schemas) answer(a reply) object {
	out := object{"description": http.StatusText(a.status)}
	switch a.media {
	case "":
	case mediaJSON:
		out["content"] = object{mediaJSON: object{"schema": s.of(reflect.TypeOf(a.value))}}
	case mediaStream:
		events := object{}
		for kind, data := range a.value.(map[string]any) {
			events[kind] = s.of(reflect.TypeOf(data))
		}
		// OpenAPI 3.1 has no words for the events of a stream.
		out["content"] = object{mediaStream: object{"schema": object{"type": "string"}, "x-events": events}}
	default:
		media, _, _ := strings.Cut(a.media, ";")
		out["content"] = object{media: object{"schema": object{"type": "string"}}}
	}
	return out
}

// operationID is "getJobsOutput" for GET jobs/{id}/output.
func operationID(r route) string {
	id := strings.ToLower(r.method)
	for _, part := range strings.FieldsFunc(r.path, func(c rune) bool { return c == '/' || c == '.' || c == '-' }) {
		if name := strings.Trim(part, "{}"); name != part {
			part = "by-" + name
		}
		for _, word := range strings.Split(part, "-") {
			id += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return id
}

// schemas are the JSON Schemas of Go types: structs under their names, everything else in place.
type schemas struct {
	named object
	seen  map[string]reflect.Type
}

var (
	timeType   = reflect.TypeFor[Time]()
	stateType  = reflect.TypeFor[job.State]()
	valuesType = reflect.TypeFor[request.Values]()
	rawType    = reflect.TypeFor[json.RawMessage]()
)

func (s *schemas) of(t reflect.Type) object {
	switch t {
	case timeType:
		return object{"type": []any{"string", "null"}, "format": "date-time"}
	case valuesType:
		text := object{"type": "string"}
		return object{"oneOf": []any{text, object{"type": "array", "items": text}}}
	case stateType:
		return s.state()
	case rawType:
		return object{} // anything
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(s.of(t.Elem()))
	case reflect.Struct:
		return s.structure(t)
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{} // anything
	}
	panic(fmt.Sprintf("no schema for %s", t))
}

// state is the one type that is many words.
func (s *schemas) state() object {
	words := []any{""} // of a job that is not there, and of a filter that is not asked for
	for _, state := range job.States {
		words = append(words, string(state))
	}
	s.named["State"] = object{"type": "string", "enum": words}
	return object{"$ref": "#/components/schemas/State"}
}

func nullable(inner object) object {
	if kind, ok := inner["type"].(string); ok {
		inner["type"] = []any{kind, "null"}
		return inner
	}
	return object{"oneOf": []any{inner, object{"type": "null"}}}
}

func (s *schemas) structure(t reflect.Type) object {
	name := t.Name()
	if other, ok := s.seen[name]; ok && other != t {
		panic(fmt.Sprintf("%s and %s have the same name in the document", other, t))
	}
	ref := object{"$ref": "#/components/schemas/" + name}
	if s.seen[name] == t {
		return ref
	}
	s.seen[name] = t
	properties, required := object{}, []string{}
	s.fields(t, properties, &required)
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		schema["required"] = required
	}
	s.named[name] = schema
	return ref
}

// fields adds those of t, and of what it embeds. One that is always there is required.
func (s *schemas) fields(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.fields(f.Type, properties, required)
			continue
		}
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = s.of(f.Type)
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}

// document answers the OpenAPI document.
func (a *api) document(w http.ResponseWriter, r *http.Request, _ url.Values) {
	a.writeJSON(w, r, openAPI(a.table()))
}
