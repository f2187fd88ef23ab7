package action

import (
	"slices"

	"github.com/tenterhook/tenterhook/internal/config"
)

// Schema describes the keys of an action: those of every kind, and that each kind has only its own.
// Which kind it is, Choices says.
func Schema() *config.Schema {
	s := config.Mapping()
	for _, k := range kinds {
		s.And(k.Keys())
	}
	for _, k := range kinds {
		own := k.Keys().Names()
		var others []string
		for _, name := range s.Names() {
			if isKind := slices.ContainsFunc(kinds, func(k Kind) bool { return k.Name == name }); !isKind && !slices.Contains(own, name) {
				others = append(others, name)
			}
		}
		s.AllOf = append(s.AllOf, &config.Schema{If: config.Has(k.Name), Then: config.Forbids(others...)})
	}
	return s
}

// Choices are the kinds of action, one of which a rule has.
func Choices() (of []*config.Schema) {
	for _, k := range kinds {
		of = append(of, config.Has(k.Name))
	}
	return of
}

func commandSchema() *config.Schema {
	text := config.TextSchema
	sandbox := config.SchemaOf(sandboxSpec{}).Set("network", config.Words(networks...))
	return config.SchemaOf(commandSpec{}).Set("env", config.MapOf(text())).Set("files", config.MapOf(text())).Set("stdin", text()).
		Set("sandbox", sandbox).Set("limits", config.SchemaOf(limitsSpec{}))
}
