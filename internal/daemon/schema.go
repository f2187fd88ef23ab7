package daemon

import (
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/hooktest"
)

// SchemaAddress is where editors find the schema of the latest release.
const SchemaAddress = "https://raw.githubusercontent.com/tenterhook/tenterhook/main/docs/hooks.schema.json"

// Schema describes hooks.yaml as a JSON Schema, made from what Load reads it into.
func Schema() *config.Schema {
	element, defs := hook.Schema()
	s := config.SchemaOf(rootSpec{}).Set("include", config.ListOf(config.TextSchema())).Set("defaults", hook.DefaultsSchema()).
		Set("hooks", config.ListOf(config.RefTo("hook"))).Set("tests", config.ListOf(config.RefTo("test")))
	tls := s.Key("server").Key("tls")
	tls.OneOf = []*config.Schema{{Required: []string{"cert", "key"}}, config.Has("acme")}
	s.Dialect, s.ID, s.Title = "https://json-schema.org/draft/2020-12/schema", SchemaAddress, "hooks.yaml of Tenterhook"
	s.Defs = append(config.Keys{{Name: "hook", Schema: element}, {Name: "test", Schema: hooktest.Schema()}}, defs...)
	return s
}
