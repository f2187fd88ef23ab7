package action

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/request"
)

// jsonTemplate is a YAML structure whose texts are templates.
type jsonTemplate struct {
	text   *expression.Template
	fixed  any // a number, true, false or nil
	list   []*jsonTemplate
	object []jsonField
	kind   config.Kind
}

type jsonField struct {
	name  string
	value *jsonTemplate
}

func newJSONTemplate(node config.Node, c Context) *jsonTemplate {
	t := &jsonTemplate{kind: node.Kind()}
	switch t.kind {
	case config.KindList:
		for _, item := range node.List() {
			t.list = append(t.list, newJSONTemplate(item, c))
		}
	case config.KindMap:
		for _, e := range node.Entries() {
			if strings.Contains(e.Key.Value, "${{") {
				c.Diagnostics.Errorf(e.Key, "names in json are the same for every delivery").Hint("body: takes a template of the whole")
			}
			t.object = append(t.object, jsonField{e.Key.Value, newJSONTemplate(e.Value, c)})
		}
	case config.KindScalar:
		text := node.Text(c.Diagnostics)
		if node.Plain() {
			if t.fixed = plain(text.Value, text.Value != node.Literal().Value); t.fixed != nil {
				if f, ok := t.fixed.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
					c.Diagnostics.Errorf(node, "JSON has no such number").Hint("in quotes it is a text")
				}
				return t
			}
		}
		t.text = template(text, c)
	}
	return t
}

// whole are whole numbers as JSON writes them.
var whole = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// plain is what YAML takes a word without quotes for, when that is a number, true or false, and
// nil when it is a text. Whole numbers keep all their digits. What a reference came to is a
// number only when JSON writes it alike: 007 and 1e5 may be parts of a token.
func plain(word string, referenced bool) any {
	var v any
	if yaml.Unmarshal([]byte(word), &v) != nil || referenced && !whole.MatchString(word) && word != "true" && word != "false" {
		return nil
	}
	switch v := v.(type) {
	case bool:
		return v
	case int, int64, uint64, float64:
		if whole.MatchString(word) {
			return request.Number(word)
		}
		if n, ok := v.(uint64); ok {
			return request.Number(strconv.FormatUint(n, 10))
		}
		return v
	}
	return nil
}

func (t *jsonTemplate) value(in *expression.Input) (any, error) {
	switch {
	case t.text != nil:
		return t.text.Value(in)
	case t.kind == config.KindList:
		out := []any{}
		for _, item := range t.list {
			v, err := item.value(in)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case t.kind == config.KindMap:
		out := map[string]any{}
		for _, f := range t.object {
			v, err := f.value.value(in)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			out[f.name] = v
		}
		return out, nil
	}
	return t.fixed, nil
}
