package config_test

import (
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/config"
)

func TestStored_ASecretThatIsWrittenOutIsRefusedAndNotRepeated(t *testing.T) {
	for text, key := range map[string]string{
		"hooks: [{secret: hunter22hunter22}]":                               "secret",
		"hooks: [{secret: '${NAME}'}]":                                      "",
		"hooks: [{secret: '${NAME:-hunter22hunter22}'}]":                    "secret",
		"hooks: [{headers: {X-Auth-Token: hunter22hunter22}}]":              "X-Auth-Token",
		"hooks: [{headers: {X-Auth-Token: '${NAME}'}}]":                     "",
		"hooks: [{headers: {x-api-key: hunter22hunter22}}]":                 "x-api-key",
		"hooks: [{headers: {X-Author: somebody}, secretary: somebody}]":     "",
		"hooks: [{headers: {Authorization: 'Basic aHVudGVyMjI6aHVudGVy'}}]": "Authorization",
	} {
		_, problems := config.Parse("hooks.yaml", []byte("admin: {}\n"), config.Options{
			Environ: []string{"NAME=0123456789abcdef"},
			Stored:  &config.Stored{Name: "stored", Data: []byte(text), Keys: []string{"hooks"}},
		})
		var printed strings.Builder
		problems.Print(&printed, false)
		said := printed.String()
		if refused := strings.Contains(said, " is written out here"); refused != (key != "") || !strings.Contains(said, key) || strings.Contains(said, "hunter22hunter22") {
			t.Errorf("%s: %q", text, said)
		}
	}
}
