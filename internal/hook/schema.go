package hook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// Schema describes an element of hooks:, and what it refers to by name.
func Schema() (hook *config.Schema, defs config.Keys) {
	rule := ruleSchema()
	hook = config.SchemaOf(hookSpec{})
	own := hook.Names()
	hook.Set("provider", config.Words(providerWords()...)).Set("parse", config.Words(formatNames()...)).
		Set("methods", config.ListOf(config.Words(methods...))).Set("verify", config.Anything()).Set("dedupe", dedupeSchema()).
		Set("api", config.SchemaOf(apiSpec{}).Set("app", config.SchemaOf(appSpec{}))).Set("catchup", config.SchemaOf(catchupSpec{})).Set("pull", config.SchemaOf(pullSpec{})).
		Set("hold", &config.Schema{AnyOf: []*config.Schema{{Types: []string{"boolean"}}, config.SchemaOf(holdSpec{})}}).
		Set("respond", config.SchemaOf(respondSpec{})).Set("let", config.MapOf(config.TextSchema()))
	named := config.SchemaOf(nameSpec{}).And(rule)
	named.OneOf = action.Choices()
	hook.Set("rules", config.ListOf(config.RefTo("rule")))
	actions := &config.Schema{Types: []string{"array"}, Items: config.RefTo("action")}
	hook.Set("expect", config.SchemaOf(expectSpec{}).Set("on_missing", actions).Set("on_back", actions))
	inline := slices.DeleteFunc(rule.Names(), func(name string) bool { return slices.Contains(own, name) })
	hook.And(rule)
	hook.OneOf = append(action.Choices(), config.Has("rules"), config.Has("hold"))
	hook.AllOf = append(hook.AllOf, &config.Schema{If: config.Has("rules"), Then: config.Forbids(inline...)})
	hook.AllOf = append(hook.AllOf, verifySchemas()...)

	follow := config.SchemaOf(followUpSpec{}).And(action.Schema())
	follow.OneOf = action.Choices()
	return hook, slices.Concat(config.Keys{{Name: "rule", Schema: named}, {Name: "action", Schema: follow}}, schemeDefs())
}

// DefaultsSchema describes defaults:.
func DefaultsSchema() *config.Schema {
	rule, s := ruleSchema(), config.Mapping()
	for _, name := range defaultKeys {
		s.Set(name, rule.Key(name))
	}
	return s
}

// ruleSchema describes what a rule has in rules: and inline.
func ruleSchema() *config.Schema {
	list := func() *config.Schema {
		return &config.Schema{Types: []string{"array"}, Items: config.RefTo("action")}
	}
	flow := config.SchemaOf(flowSpec{})
	flow.Key("concurrency").Set("overflow", config.Words(overflows...))
	flow.Key("debounce").Set("keep", config.Words(keeps...))
	flow.Set("once", &config.Schema{AnyOf: []*config.Schema{config.TextSchema(), config.SchemaOf(onceSpec{})}})
	flow.Set("on", &config.Schema{AnyOf: []*config.Schema{{Const: "any"}, config.SchemaOf(onSpec{})}})
	after := config.SchemaOf(afterSpec{}).Set("on_success", list()).Set("on_failure", list()).Set("on_cancel", list())
	report := []*config.Schema{config.Words(reportWords...), config.SchemaOf(reportSpec{})}
	one := &config.Schema{AnyOf: report}
	rule := config.SchemaOf(ruleSpec{}).Set("report", &config.Schema{AnyOf: append(slices.Clip(report), config.ListOf(one))})
	return rule.And(action.Schema(), flow, after)
}

func dedupeSchema() *config.Schema {
	s := config.SchemaOf(dedupeSpec{}).Set("on_duplicate", config.Words(duplicatePolicies...))
	return &config.Schema{AnyOf: []*config.Schema{{Const: "none"}, s}}
}

func providerWords() (names []string) {
	for _, p := range provider.All() {
		names = append(append(names, p.Name), p.Aliases...)
	}
	return names
}

// verifySchemas says what verify: holds: without provider: a scheme, beside it what adjusts the
// preset. Presets with the same settings share one.
func verifySchemas() []*config.Schema {
	schemas := []*config.Schema{{
		If: &config.Schema{Not: config.Has("provider")},
		Then: &config.Schema{
			Required: []string{"verify"}, Properties: config.Keys{{Name: "verify", Schema: config.RefTo("verify")}},
		},
	}}
	places := map[string]*config.Schema{}
	for _, p := range provider.All() {
		settings := config.SchemaOf(p.Verifier())
		settings.Types, settings.Required = []string{"object"}, nil
		words := append([]string{p.Name}, p.Aliases...)
		shape := fmt.Sprintf("%+v", shapeOf(settings))
		if same := places[shape]; same != nil {
			same.If.Properties[0].Schema.Enum = append(same.If.Properties[0].Schema.Enum, words...)
			continue
		}
		places[shape] = &config.Schema{
			If:   &config.Schema{Required: []string{"provider"}, Properties: config.Keys{{Name: "provider", Schema: &config.Schema{Enum: words}}}},
			Then: &config.Schema{Properties: config.Keys{{Name: "verify", Schema: withoutDefaults(settings)}}},
		}
		if len(settings.Properties) == 0 {
			places[shape].Then = config.Forbids("verify")
		}
		schemas = append(schemas, places[shape])
	}
	return schemas
}

// shapeOf is what two presets must share to share a schema: their defaults may differ.
func shapeOf(s *config.Schema) string {
	var b strings.Builder
	for _, key := range s.Properties {
		fmt.Fprintf(&b, "%s(%s) ", key.Name, shapeOf(key.Schema))
	}
	return b.String()
}

func withoutDefaults(s *config.Schema) *config.Schema {
	bare := *s
	bare.Default, bare.Properties = "", nil
	for _, key := range s.Properties {
		bare.Properties = append(bare.Properties, config.Key{Name: key.Name, Schema: withoutDefaults(key.Schema)})
	}
	return &bare
}

// schemeDefs describes verify: without a preset: the word none, any: or all: of several, or one
// scheme, which may have a secret of its own inside any: and all:.
func schemeDefs() config.Keys {
	several := func(word, doc string) *config.Schema {
		of := config.ListOf(config.RefTo("scheme_inside"))
		of.Description = doc
		s := config.Mapping().Set(word, of)
		s.Required = []string{word}
		return s
	}
	defs := config.Keys{{Name: "verify", Schema: &config.Schema{
		If:   &config.Schema{Types: []string{"string"}},
		Then: &config.Schema{Const: "none"},
		Else: &config.Schema{
			If: config.Has("any"), Then: several("any", "One of these schemes must verify the request."),
			Else: &config.Schema{
				If: config.Has("all"), Then: several("all", "Each of these schemes must verify the request."),
				Else: config.RefTo("scheme"),
			},
		},
	}}}
	// Inside any: and all: there may be any: and all: again.
	inside := &config.Schema{
		If: config.Has("any"), Then: config.RefTo("verify"),
		Else: &config.Schema{If: config.Has("all"), Then: config.RefTo("verify"), Else: schemeSchema(ownSecretSpec{})},
	}
	return append(defs, config.Key{Name: "scheme", Schema: schemeSchema(struct{}{})}, config.Key{Name: "scheme_inside", Schema: inside})
}

// schemeSchema describes a scheme with its own keys and more.
func schemeSchema(more any) *config.Schema {
	scheme := config.Words(schemeNames()...)
	scheme.Description = "How the sender proves itself."
	s := &config.Schema{Types: []string{"object"}, Required: []string{"scheme"}, Properties: config.Keys{{Name: "scheme", Schema: scheme}}}
	for _, k := range verify.Kinds() {
		own := config.SchemaOf(schemeSpec{}).And(config.SchemaOf(k.New()), config.SchemaOf(more))
		own.Description = strings.Join(strings.Fields(k.Doc), " ")
		s.AllOf = append(s.AllOf, &config.Schema{
			If:   &config.Schema{Required: []string{"scheme"}, Properties: config.Keys{{Name: "scheme", Schema: &config.Schema{Const: k.Name}}}},
			Then: own,
		})
	}
	return s
}
