package cli

import (
	"bytes"
	"testing"
)

func TestSchema_TheFilesOfTheDocumentationAreCurrent(t *testing.T) {
	var schema, page bytes.Buffer
	if err := writeSchema(&schema); err != nil {
		t.Fatal(err)
	}
	keysPage(&page)
	current(t, "hooks.schema.json", "schema", schema.Bytes())
	current(t, "keys.md", "schema --markdown", page.Bytes())
}
