package hooktest

import "github.com/tenterhook/tenterhook/internal/config"

// Schema describes an element of tests:.
func Schema() *config.Schema { return config.SchemaOf(testSpec{}) }
