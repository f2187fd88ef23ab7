package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Size is a number of bytes, written 64KiB, 1MiB, 25MB or as a plain number.
type Size int64

// Unmarshaler is a type that reads itself from a Node.
type Unmarshaler interface {
	UnmarshalConfig(n Node, d *Diagnostics)
}

// Decode reads the node into a value, strictly: unknown keys, wrong types and missing required
// keys are problems, all of them. It reports whether it added none.
//
// Struct fields are read by their `yaml:"name"` or `yaml:"name,required"` tag; fields without a
// tag are left alone. A list is also read from a single value.
func (n Node) Decode(into any, d *Diagnostics) bool {
	before := problems(d)
	decode(n, reflect.ValueOf(into).Elem(), d)
	return problems(d) == before
}

// Decode reads the keys a struct has fields for, and makes them known.
func (m *Map) Decode(into any) bool {
	before := problems(m.d)
	m.fields(reflect.ValueOf(into).Elem())
	return problems(m.d) == before
}

func problems(d *Diagnostics) int { return d.counts[Problem] }

func (m *Map) fields(v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous && field.Type.Kind() == reflect.Struct && field.Tag.Get("yaml") == "" {
			m.fields(v.Field(i))
			continue
		}
		name, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" || name == "-" || !field.IsExported() {
			continue
		}
		value := m.Get(name)
		switch {
		case value.IsZero() && option == "required":
			m.d.Errorf(m.node, "%q is missing", name)
		case value.IsZero():
		case value.Kind() == KindNull && option == "required":
			m.d.Errorf(value, "%q is empty", name)
		default:
			decode(value, v.Field(i), m.d)
		}
	}
}

var (
	durationType    = reflect.TypeFor[time.Duration]()
	sizeType        = reflect.TypeFor[Size]()
	textType        = reflect.TypeFor[Text]()
	literalType     = reflect.TypeFor[Literal]()
	secretType      = reflect.TypeFor[Secret]()
	nodeType        = reflect.TypeFor[Node]()
	unmarshalerType = reflect.TypeFor[Unmarshaler]()
)

func decode(n Node, v reflect.Value, d *Diagnostics) {
	if v.CanAddr() && v.Addr().Type().Implements(unmarshalerType) {
		v.Addr().Interface().(Unmarshaler).UnmarshalConfig(n, d)
		return
	}
	switch v.Type() {
	case nodeType:
		v.Set(reflect.ValueOf(n))
	case textType:
		v.Set(reflect.ValueOf(n.Text(d)))
	case literalType:
		decodeLiteral(n, v, d)
	case secretType:
		v.Addr().Interface().(*Secret).decode(n, d)
	case durationType, sizeType:
		decodeMeasure(n, v, d)
	default:
		decodeKind(n, v, d)
	}
}

func decodeLiteral(n Node, v reflect.Value, d *Diagnostics) {
	if n.Kind() == KindList || n.Kind() == KindMap {
		d.mistyped(n, "expected text, found %s", n.Kind())
		return
	}
	v.Set(reflect.ValueOf(Literal{n.Literal()}))
}

func decodeKind(n Node, v reflect.Value, d *Diagnostics) {
	switch v.Kind() {
	case reflect.Pointer:
		if n.Kind() == KindNull {
			return
		}
		fresh := reflect.New(v.Type().Elem())
		decode(n, fresh.Elem(), d)
		v.Set(fresh)
	case reflect.Interface: // a struct that is already there is read over
		if v.Elem().Kind() == reflect.Pointer {
			decode(n, v.Elem().Elem(), d)
		}
	case reflect.Struct:
		if n.Kind() == KindNull {
			return
		}
		m := n.Map(d)
		if n.Kind() == KindMap {
			m.fields(v)
			m.Close()
		}
	case reflect.Slice:
		decodeSlice(n, v, d)
	case reflect.Map:
		decodeMap(n, v, d)
	default:
		decodeScalar(n, v, d)
	}
}

func decodeSlice(n Node, v reflect.Value, d *Diagnostics) {
	nodes := n.List()
	out := reflect.MakeSlice(v.Type(), len(nodes), len(nodes))
	for i, element := range nodes {
		decode(element, out.Index(i), d)
	}
	v.Set(out)
}

func decodeMap(n Node, v reflect.Value, d *Diagnostics) {
	if n.Kind() == KindNull {
		return
	}
	if n.Kind() != KindMap {
		d.mistyped(n, "expected a mapping, found %s", n.describe())
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, e := range n.Entries() {
		value := reflect.New(v.Type().Elem()).Elem()
		decode(e.Value, value, d)
		out.SetMapIndex(reflect.ValueOf(e.Key.Value), value)
	}
	v.Set(out)
}

func decodeScalar(n Node, v reflect.Value, d *Diagnostics) {
	if n.Kind() != KindScalar {
		if n.Kind() != KindNull || v.Kind() != reflect.String {
			d.mistyped(n, "expected %s, found %s", wants(v), n.Kind())
		}
		return
	}
	before := problems(d)
	t := n.Text(d)
	if problems(d) > before {
		return
	}
	if !setScalar(v, t, n) {
		problem := d.mistyped(n, "expected %s, found %s", wants(v), n.describe())
		if word := strings.ToLower(t.Value); v.Kind() == reflect.Bool && (word == "yes" || word == "on") {
			problem.Hint("write true")
		} else if v.Kind() == reflect.Bool && (word == "no" || word == "off") {
			problem.Hint("write false")
		}
	}
}

// Numbers as people write them: no signs that change nothing, no zeros that elsewhere mean octal.
var (
	wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	anyNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)?(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
)

func setScalar(v reflect.Value, t Text, n Node) bool {
	if v.Kind() == reflect.String {
		v.SetString(t.Value)
		return true
	}
	if n.y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 && len(t.parts) == 0 {
		return false
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(t.Value == "true")
		return t.Value == "true" || t.Value == "false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		i, err := strconv.ParseInt(t.Value, 10, v.Type().Bits())
		if err != nil || !wholeNumber.MatchString(t.Value) {
			return false
		}
		v.SetInt(i)
		return true
	case reflect.Float64:
		f, err := strconv.ParseFloat(t.Value, 64)
		if err != nil || !anyNumber.MatchString(t.Value) {
			return false
		}
		v.SetFloat(f)
		return true
	}
	panic(fmt.Sprintf("config: a field of type %s cannot be decoded", v.Type()))
}

func wants(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "text"
}

func decodeMeasure(n Node, v reflect.Value, d *Diagnostics) {
	if n.Kind() == KindNull {
		return
	}
	before := problems(d)
	t := n.Text(d)
	if problems(d) > before {
		return
	}
	if v.Type() == sizeType {
		size, ok := parseSize(t.Value)
		if !ok {
			d.mistyped(n, "expected a size such as 64KiB or 25MB, found %s", n.describe())
		}
		v.SetInt(size)
		return
	}
	duration, ok := parseDuration(t.Value)
	if !ok {
		d.mistyped(n, "expected a duration such as 90s, 10m or 14d, found %s", n.describe())
	}
	v.SetInt(int64(duration))
}

// parseDuration reads what time.ParseDuration reads, and days and weeks.
func parseDuration(s string) (time.Duration, bool) {
	total, rest := time.Duration(0), s
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n > uint64((math.MaxInt64-total)/unit.length) {
			return 0, false
		}
		total, rest = total+time.Duration(n)*unit.length, after
	}
	if rest == "" {
		return total, s != ""
	}
	tail, err := time.ParseDuration(rest)
	if err != nil || tail < 0 || strings.HasPrefix(rest, "+") || total+tail < 0 {
		return 0, false
	}
	return total + tail, true
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

func parseSize(s string) (int64, bool) {
	for _, unit := range sizeUnits {
		number, ok := strings.CutSuffix(s, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
		if err != nil || n > uint64(math.MaxInt64/unit.bytes) {
			return 0, false
		}
		return int64(n) * unit.bytes, true
	}
	return 0, false
}
