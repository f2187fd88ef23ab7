package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Schema is a JSON Schema (2020-12), as far as a configuration needs one. It is made from the
// structs that Decode reads into, so that an editor knows the keys that the loader takes: their
// types, and beside them the tags
//
//	doc:"what the key says, for people"
//	oneof:"the words it may be"
//	default:"what it is when it is left out"
type Schema struct {
	Dialect     string   `json:"$schema,omitzero"`
	ID          string   `json:"$id,omitzero"`
	Title       string   `json:"title,omitzero"`
	Description string   `json:"description,omitzero"`
	Ref         string   `json:"$ref,omitzero"`
	Types       []string `json:"type,omitempty"`
	Const       string   `json:"const,omitzero"`
	Enum        []string `json:"enum,omitempty"`
	Pattern     string   `json:"pattern,omitzero"`
	Default     string   `json:"-"` // in words; said behind the description
	Properties  Keys     `json:"properties,omitempty"`
	Required    []string `json:"required,omitempty"`
	// Additional is what a key that is not listed may hold; nil allows none in a schema that
	// has Properties, and anything in one that has not.
	Additional *Schema   `json:"additionalProperties,omitempty"`
	Items      *Schema   `json:"items,omitempty"`
	MinItems   int       `json:"minItems,omitzero"`
	AnyOf      []*Schema `json:"anyOf,omitempty"`
	OneOf      []*Schema `json:"oneOf,omitempty"`
	AllOf      []*Schema `json:"allOf,omitempty"`
	Not        *Schema   `json:"not,omitempty"`
	If         *Schema   `json:"if,omitempty"`
	Then       *Schema   `json:"then,omitempty"`
	Else       *Schema   `json:"else,omitempty"`
	Defs       Keys      `json:"$defs,omitempty"`

	never bool // nothing is valid
	open  bool // a node that nobody has described yet
}

// Key is one key of a mapping and what it may hold.
type Key struct {
	Name   string
	Schema *Schema
}

// Keys are the keys of a mapping, in the order they are documented in.
type Keys []Key

// MarshalJSONTo writes them as an object in their order.
func (k Keys) MarshalJSONTo(out *jsontext.Encoder) error {
	if err := out.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, key := range k {
		if err := out.WriteToken(jsontext.String(key.Name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(out, key.Schema); err != nil {
			return err
		}
	}
	return out.WriteToken(jsontext.EndObject)
}

// MarshalJSONTo writes the schema; one that allows nothing is false, one that allows all is true.
func (s *Schema) MarshalJSONTo(out *jsontext.Encoder) error {
	type fields Schema
	if s.never {
		return out.WriteToken(jsontext.False)
	}
	written := fields(*s)
	if s.Default != "" {
		written.Description = strings.TrimSpace(s.Description + " Default: " + s.Default + ".")
	}
	return json.MarshalEncode(out, &written)
}

// Never is the schema of a key that has no place.
func Never() *Schema { return &Schema{never: true} }

// Anything is the schema of a value that may be anything.
func Anything() *Schema { return &Schema{} }

// Words is the schema of text that is one of some words.
func Words(words ...string) *Schema {
	return &Schema{AnyOf: []*Schema{{Enum: words}, reference()}}
}

// ListOf is the schema of a list, or of one element in its place.
func ListOf(element *Schema) *Schema {
	return &Schema{AnyOf: []*Schema{{Types: []string{"array"}, Items: element}, element, null()}}
}

// MapOf is the schema of a mapping from any names.
func MapOf(value *Schema) *Schema {
	return &Schema{Types: []string{"object", "null"}, Additional: value}
}

// TextSchema is the schema of any scalar.
func TextSchema() *Schema { return &Schema{Types: []string{"string", "number", "boolean", "null"}} }

// RefTo is a reference to one of the root's Defs.
func RefTo(name string) *Schema { return &Schema{Ref: "#/$defs/" + name} }

func null() *Schema { return &Schema{Types: []string{"null"}} }

// reference is a value that is taken from elsewhere: its type shows when it is loaded.
func reference() *Schema { return &Schema{Types: []string{"string"}, Pattern: `\$\{`} }

// The texts of durations and sizes, as parseDuration and parseSize read them.
const (
	durationPattern = `^(0|([0-9]+w)?([0-9]+d)?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*)$`
	sizePattern     = `^[0-9]+ *(KiB|MiB|GiB|kB|KB|MB|GB|B)?$`
)

// Key is the schema of a key, or of a key below it; nil when there is none.
func (s *Schema) Key(path ...string) *Schema {
	for _, name := range path {
		i := slices.IndexFunc(s.Properties, func(k Key) bool { return k.Name == name })
		if i < 0 {
			return nil
		}
		s = s.Properties[i].Schema
	}
	return s
}

// Names are the keys the schema lists.
func (s *Schema) Names() []string {
	names := make([]string, len(s.Properties))
	for i, key := range s.Properties {
		names[i] = key.Name
	}
	return names
}

// Set says what a key holds, and keeps what is said about it for people.
func (s *Schema) Set(name string, value *Schema) *Schema {
	i := slices.IndexFunc(s.Properties, func(k Key) bool { return k.Name == name })
	if i < 0 {
		s.Properties = append(s.Properties, Key{name, value})
		return s
	}
	described := *value
	described.Description = cmp.Or(s.Properties[i].Schema.Description, value.Description)
	described.Default = cmp.Or(s.Properties[i].Schema.Default, value.Default)
	s.Properties[i].Schema = &described
	return s
}

// And adds the keys of others that it has not, and closes it again to keys nobody has.
func (s *Schema) And(others ...*Schema) *Schema {
	for _, other := range others {
		for _, key := range other.Properties {
			if s.Key(key.Name) == nil {
				s.Properties = append(s.Properties, key)
			}
		}
		s.Required = append(s.Required, other.Required...)
		s.AllOf = append(s.AllOf, other.AllOf...)
	}
	return s
}

// Open lists the keys, from path down, that nobody has described.
func (s *Schema) Open(path string) (open []string) {
	if s.open {
		open = append(open, path)
	}
	for _, key := range slices.Concat(s.Properties, s.Defs) {
		open = append(open, key.Schema.Open(strings.TrimPrefix(path+"."+key.Name, "."))...)
	}
	for _, below := range slices.Concat(s.AnyOf, s.OneOf, s.AllOf, []*Schema{s.Items, s.Then, s.Else, s.Additional}) {
		if below != nil {
			open = append(open, below.Open(path)...)
		}
	}
	return open
}

// SchemaOf describes what Decode reads into a struct, or a pointer to one; anything else has no keys. What it has already
// are the defaults. A field of type Node is open until Set says what it holds.
func SchemaOf(of any) *Schema {
	v := reflect.ValueOf(of)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	s := Mapping()
	if v.Kind() == reflect.Struct {
		s.fields(v)
	}
	return s
}

func (s *Schema) fields(v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous && field.Type.Kind() == reflect.Struct && field.Tag.Get("yaml") == "" {
			s.fields(v.Field(i))
			continue
		}
		name, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" || name == "-" || !field.IsExported() {
			continue
		}
		value := valueSchema(v.Field(i), field.Tag)
		if option == "required" {
			s.Required = append(s.Required, name)
		}
		s.Properties = append(s.Properties, Key{name, value})
	}
}

func valueSchema(v reflect.Value, tag reflect.StructTag) *Schema {
	value := typeSchema(v)
	if words := strings.Fields(tag.Get("oneof")); len(words) > 0 {
		value = Words(words...)
	}
	value.Description = tag.Get("doc")
	value.Default = cmp.Or(tag.Get("default"), defaultOf(v))
	return value
}

// defaultOf is the value that is there already, in the words of the file; "" when it is none.
func defaultOf(v reflect.Value) string {
	switch {
	case v.IsZero():
		return ""
	case v.Type() == durationType:
		if d := v.Interface().(time.Duration); d < 100*365*24*time.Hour {
			return shortDuration(d)
		}
	case v.Kind() == reflect.String, v.Kind() == reflect.Bool:
		return fmt.Sprint(v.Interface())
	}
	return ""
}

func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// typeSchema mirrors decode: what it takes for a type.
func typeSchema(v reflect.Value) *Schema {
	switch v.Type() {
	case nodeType:
		return &Schema{open: true}
	case textType, literalType:
		return TextSchema()
	case secretType:
		return &Schema{Types: []string{"string", "number", "boolean"}}
	case durationType:
		return &Schema{AnyOf: []*Schema{{Types: []string{"string"}, Pattern: durationPattern}, {Const: "0"}, reference(), null()}}
	case sizeType:
		return &Schema{AnyOf: []*Schema{{Types: []string{"string"}, Pattern: sizePattern}, {Types: []string{"integer"}}, reference(), null()}}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		below := typeSchema(v.Elem())
		if len(below.AnyOf) > 0 {
			below.AnyOf = append(below.AnyOf, null())
		}
		return below
	case reflect.Struct:
		return SchemaOf(v.Interface())
	case reflect.Slice:
		return ListOf(typeSchema(reflect.New(v.Type().Elem()).Elem()))
	case reflect.Map:
		return MapOf(typeSchema(reflect.New(v.Type().Elem()).Elem()))
	case reflect.Bool:
		return &Schema{AnyOf: []*Schema{{Types: []string{"boolean"}}, reference()}}
	case reflect.Float64:
		return &Schema{AnyOf: []*Schema{{Types: []string{"number"}}, reference()}}
	case reflect.String:
		return TextSchema()
	}
	return &Schema{AnyOf: []*Schema{{Types: []string{"integer"}}, reference()}}
}

// Mapping is the schema of a mapping without keys, to which Set and And add some.
func Mapping() *Schema {
	return &Schema{Types: []string{"object", "null"}, Additional: Never()}
}

// Has is the condition that a mapping has a key.
func Has(key string) *Schema { return &Schema{Required: []string{key}} }

// Forbids is the condition that a mapping has none of some keys.
func Forbids(keys ...string) *Schema {
	s := &Schema{}
	for _, key := range keys {
		s.Properties = append(s.Properties, Key{key, Never()})
	}
	return s
}

// Among are the words that a value may be; nil when it may be others.
func (s *Schema) Among() []string {
	for _, one := range append([]*Schema{s}, s.AnyOf...) {
		if len(one.Enum) > 0 {
			return one.Enum
		}
	}
	return nil
}

// Mapping is the schema of the mapping that a value may be; one without keys when it may be none.
func (s *Schema) Mapping() *Schema {
	for _, one := range append([]*Schema{s}, s.AnyOf...) {
		if len(one.Properties) > 0 {
			return one
		}
	}
	return &Schema{}
}
