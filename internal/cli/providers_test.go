package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/provider"
)

func TestProviders_ThePageOfTheDocumentationIsCurrent(t *testing.T) {
	var page bytes.Buffer
	providersPage(&page)
	current(t, "providers.md", "providers --markdown", page.Bytes())
}

// current compares a file of docs/ with what a command prints now.
func current(t *testing.T, name, command string, page []byte) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), string(page)); diff != "" {
		t.Errorf("go run ./cmd/tenterhook %s > docs/%s\n%s", command, name, diff)
	}
}

// A person copies the example: it must load as it stands, with a secret such as the sender's.
func TestProviders_EveryExampleLoads(t *testing.T) {
	for _, p := range provider.All() {
		if p.NeedsVerify {
			continue // says so when it is loaded
		}
		secret := map[string]string{
			"adyen": "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00", "airtable": "YS1zZWNyZXQtb2YtZW5vdWdoLWJ5dGVz",
			"discord": strings.Repeat("ab", 32), "telnyx": strings.Repeat("ab", 32),
			"sendgrid": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
		}[p.Name]
		if secret == "" {
			secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "hooks.yaml"), "hooks:\n"+strings.ReplaceAll(example(p), "./on-", "true #"))
		name := strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")) + "_SECRET"
		conf, d := daemon.Load(config.Options{Path: filepath.Join(dir, "hooks.yaml"), Environ: []string{name + "=" + secret}}, true)
		if d.Err() != nil || len(conf.Hooks.Hooks()) != 1 {
			t.Errorf("%s: %v", p.Name, d.Err())
		}
	}
}
