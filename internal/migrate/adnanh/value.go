package adnanh

import (
	"bytes"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/migrate"
)

// kind is the shape of a value, with the types that YAML 1.1 gives to scalars.
type kind int

const (
	isNull kind = iota
	isText
	isBool
	isInteger
	isFloat
	isList
	isMap
)

var kindNames = map[kind]string{
	isNull: "nothing", isText: "text", isBool: "true or false", isInteger: "a whole number", isFloat: "a fraction", isList: "a list", isMap: "a mapping",
}

// value is a part of the file as adnanh/webhook sees it: YAML 1.1, aliases and merge keys
// resolved, and text made of every scalar.
type value struct {
	kind      kind
	line, col int
	text      string
	raw       string // of a scalar that is no text
	list      []*value
	entries   []entry
}

type entry struct {
	key       string
	line, col int
	value     *value
}

// The bounds of a file: aliases multiply.
const (
	maxValues = 200_000
	maxNested = 100
	maxKeys   = 1000 // of one mapping
)

// parse reads the first document of a file, as the peer does.
func parse(src []byte, notes *migrate.Notes) *value {
	var document yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(src, []byte("\ufeff")))).Decode(&document)
	var at *yaml.LoadError
	switch {
	case err != nil && err.Error() == "EOF":
		return &value{kind: isNull, line: 1, col: 1}
	case errors.As(err, &at) && at.Mark.Line > 0:
		n := notes.Refuse(at.Mark.Line, max(1, at.Mark.Column), "neither JSON nor YAML: %s", at.Message)
		if bytes.Contains(src, []byte("//")) || bytes.Contains(src, []byte("/*")) {
			n.Hint("comments begin with #; adnanh/webhook does not read // or /* */ either")
		}
		return nil
	case err != nil:
		notes.Refuse(0, 0, "neither JSON nor YAML: %s", strings.TrimSpace(strings.TrimPrefix(err.Error(), "yaml:")))
		return nil
	case len(document.Content) == 0:
		return &value{kind: isNull, line: 1, col: 1}
	}
	r := reader{notes: notes, left: maxValues}
	v := r.read(document.Content[0], 0)
	if r.left < 0 {
		notes.Refuse(document.Content[0].Line, 1, "the file has more parts, or is nested deeper, than a person can have meant")
		return nil
	}
	return v
}

type reader struct {
	notes *migrate.Notes
	left  int
}

func (r *reader) read(n *yaml.Node, depth int) *value {
	v := &value{line: n.Line, col: n.Column}
	if r.left--; depth > maxNested {
		r.left = -1
	}
	if r.left < 0 {
		return v
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.read(n.Alias, depth+1)
	case yaml.SequenceNode:
		v.kind = isList
		for _, item := range n.Content {
			v.list = append(v.list, r.read(item, depth+1))
		}
	case yaml.MappingNode:
		v.kind = isMap
		r.readMap(n, v, depth)
	default:
		v.kind, v.text = scalar(n)
		v.raw = n.Value
	}
	return v
}

// readMap reads a mapping; merged keys come after its own, which count.
func (r *reader) readMap(n *yaml.Node, v *value, depth int) {
	if len(n.Content) > 2*maxKeys {
		r.left = -1
		return
	}
	var merged []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, of := n.Content[i], r.read(n.Content[i+1], depth+1)
		if key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style == 0 {
			for _, from := range append([]*value{of}, of.list...) {
				merged = append(merged, from.entries...)
			}
			continue
		}
		_, name := scalar(key)
		v.set(entry{name, key.Line, key.Column, of}, r.notes)
	}
	for _, e := range merged {
		if v.get(e.key) == nil {
			v.entries = append(v.entries, e)
		}
	}
}

func (v *value) set(e entry, notes *migrate.Notes) {
	for i := range v.entries {
		if v.entries[i].key == e.key {
			notes.Warn(e.line, e.col, "%q is there twice: the last one counts", e.key)
			v.entries[i] = e
			return
		}
	}
	v.entries = append(v.entries, e)
}

// get finds a key exactly.
func (v *value) get(key string) *value {
	for _, e := range v.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

var (
	integer11 = regexp.MustCompile(`^[-+]?(0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|[0-9]+)$`)
	float11   = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// scalar is a scalar's type and text by YAML 1.1, in which yes is true, 010 is 8 and 1.10 is 1.1.
func scalar(n *yaml.Node) (kind, string) {
	s := n.Value
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Style&yaml.TaggedStyle != 0 && n.Tag == "!!str" {
		return isText, s
	}
	switch s {
	case "", "~", "null", "Null", "NULL":
		return isNull, ""
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE":
		return isBool, "true"
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE":
		return isBool, "false"
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return isFloat, "+Inf"
	case "-.inf", "-.Inf", "-.INF":
		return isFloat, "-Inf"
	case ".nan", ".NaN", ".NAN":
		return isFloat, "NaN"
	}
	digits := strings.ReplaceAll(s, "_", "")
	if integer11.MatchString(digits) {
		if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
			return isInteger, strconv.FormatInt(i, 10)
		}
		if u, err := strconv.ParseUint(strings.TrimPrefix(digits, "+"), 0, 64); err == nil {
			return isInteger, strconv.FormatUint(u, 10)
		}
	}
	if float11.MatchString(digits) {
		if f, err := strconv.ParseFloat(digits, 64); err == nil && !math.IsInf(f, 0) {
			return isFloat, strconv.FormatFloat(f, 'g', -1, 64)
		}
	}
	return isText, s
}

// fields reads a mapping's keys, whose case does not matter, and reports those nobody knows.
type fields struct {
	of    *value
	what  string
	notes *migrate.Notes
	known []string
}

func (v *value) fields(what string, notes *migrate.Notes) *fields {
	return &fields{of: v, what: what, notes: notes}
}

// get is the value of a key; nil when it is absent or null.
func (f *fields) get(key string) *value {
	f.known = append(f.known, key)
	var found *value
	for _, e := range f.of.entries {
		if strings.EqualFold(e.key, key) && e.value.kind != isNull {
			found = e.value
		}
	}
	return found
}

// text is a scalar of any type, as text.
func (f *fields) text(key string) string {
	v := f.get(key)
	switch {
	case v == nil:
		return ""
	case v.kind == isList || v.kind == isMap:
		f.notes.Refuse(v.line, v.col, "%s is text, found %s", key, kindNames[v.kind])
		return ""
	case v.kind == isText || strings.EqualFold(v.text, v.raw):
	case key == "secret" || key == "value": // which may be a secret, too
		f.notes.Warn(v.line, v.col, "%s: without quotes it is %s in YAML, and to adnanh/webhook another text than stands here; that text is kept", key, kindNames[v.kind])
	default:
		f.notes.Warn(v.line, v.col, "%s: without quotes, %s is %q in YAML, to adnanh/webhook, too", key, v.raw, v.text)
	}
	return v.text
}

func (f *fields) flag(key string) bool {
	v := f.get(key)
	if v != nil && v.kind != isBool {
		f.notes.Refuse(v.line, v.col, "%s is true or false, found %s", key, kindNames[v.kind])
		return false
	}
	return v != nil && v.text == "true"
}

func (f *fields) number(key string) int {
	v := f.get(key)
	if v == nil {
		return 0
	}
	n, err := strconv.Atoi(v.text)
	if v.kind != isInteger || err != nil {
		f.notes.Refuse(v.line, v.col, "%s is a whole number, found %s", key, kindNames[v.kind])
		return 0
	}
	return n
}

func (f *fields) list(key string) []*value {
	v := f.get(key)
	if v == nil {
		return nil
	}
	if v.kind != isList {
		f.notes.Refuse(v.line, v.col, "%s is a list, found %s", key, kindNames[v.kind])
		return nil
	}
	return v.list
}

// close reports the keys that were not asked for: they never had an effect.
func (f *fields) close() {
	for _, e := range f.of.entries {
		known := false
		for _, k := range f.known {
			known = known || strings.EqualFold(k, e.key)
		}
		if known {
			continue
		}
		n := f.notes.Warn(e.line, e.col, "%s has no key %q: it never had an effect, and is left out", f.what, e.key)
		if near := config.Suggest(strings.ToLower(e.key), f.known); near != "" {
			n.Hint("was %s meant?", near)
		}
	}
}
