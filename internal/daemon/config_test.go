package daemon_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

var update = flag.Bool("update", false, "write what is seen as what is expected")

// TestLoad_SaysWhatIsWrongWithEachBadFile holds one file for each mistake beside exactly what
// a person is told of it.
func TestLoad_SaysWhatIsWrongWithEachBadFile(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			private := filepath.Join(dir, "hooks.yaml") // a checkout's file mode is nobody's choice
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, private, string(source))
			_, diagnostics := daemon.Load(config.Options{Path: private, Environ: []string{"HOME=/root"}}, false)
			if diagnostics.Err() == nil {
				t.Error("the file has no problem")
			}
			var said bytes.Buffer
			diagnostics.Print(&said, false)
			text := strings.ReplaceAll(said.String(), dir+"/", "")
			expected := strings.TrimSuffix(file, ".yaml") + ".out"
			if *update {
				if err := os.WriteFile(expected, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

// TestLoad_TakesTheLanguageAsPeopleWriteIt loads a file with references between brackets, a name of
// pushes that the hook gives its own meaning, and an expression that YAML would cut at a comment.
func TestLoad_TakesTheLanguageAsPeopleWriteIt(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hooks.yaml"), read(t, "testdata/fuller.yaml"))
	write(t, filepath.Join(dir, "new"), secret)
	loaded, diagnostics := daemon.Load(config.Options{Path: filepath.Join(dir, "hooks.yaml"), Environ: []string{
		"HOME=/root", "GITHUB_OLD_SECRET=" + secret + "2", "SLACK_URL=https://hooks.slack.com/services/x", "CHAT_TOKEN=" + secret,
	}}, false)
	if diagnostics.Err() != nil {
		t.Fatal(diagnostics.Err())
	}
	site := loaded.Hooks.Hook("site")
	if site.SecretCount() != 2 || len(site.Rules) != 2 {
		t.Errorf("%d secrets, %d rules", site.SecretCount(), len(site.Rules))
	}
}
