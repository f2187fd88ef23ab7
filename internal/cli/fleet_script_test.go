package cli

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

// The transcripts in testdata/fleet run nodes on a database, whose URL is $STORE_URL. They are skipped
// where PostgreSQL is not installed.
func TestFleetScripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "fleet", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			url := postgrestest.Schema(t)
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Cmds:  scriptCommands(),
				Setup: func(env *testscript.Env) error {
					env.Setenv("TZ", "UTC")
					env.Setenv("STORE_URL", url)
					env.Setenv("ONE_SECRET", "0123456789abcdef0123456789abcdef")
					return nil
				},
			})
		})
	}
}
