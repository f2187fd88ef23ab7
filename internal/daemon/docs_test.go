package daemon_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	groups "github.com/tenterhook/tenterhook/internal/launch"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
)

// snippet is a block of YAML in a page.
type snippet struct {
	page string
	line int
	text string
}

// fenced finds blocks of YAML; one whose fence says more than the language is not ours, or not whole.
var fenced = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```")

func snippets(t *testing.T) (found []snippet) {
	t.Helper()
	root := os.DirFS(filepath.Join("..", ".."))
	must(t, fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || entry.Name() == ".git"):
			return fs.SkipDir
		case path.Ext(file) != ".md":
			return nil
		}
		content, err := fs.ReadFile(root, file)
		for _, at := range fenced.FindAllSubmatchIndex(content, -1) {
			indent, text := string(content[at[2]:at[3]]), string(content[at[4]:at[5]])
			if indent != "" {
				text = regexp.MustCompile("(?m)^"+indent).ReplaceAllString(text, "")
			}
			found = append(found, snippet{file, 1 + bytes.Count(content[:at[4]], []byte("\n")), text})
		}
		return err
	}))
	return found
}

// The keys of a whole file; the others are of a hook or rule.
var (
	keysOfFile = []string{"server", "admin", "store", "workers", "include", "defaults", "hooks", "tests", "reload", "node", "telemetry"}
)

// whole makes a file of what a page shows of one: a file, hooks, rules, or keys of one of these.
func (s snippet) whole() (files []string) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(s.text), &doc); err != nil || len(doc.Content) == 0 {
		return s.each() // the same key in several ways
	}
	node := doc.Content[0]
	has := func(n *yaml.Node, keys ...string) bool {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if slices.Contains(keys, n.Content[i].Value) {
				return true
			}
		}
		return false
	}
	indented := "    " + strings.ReplaceAll(s.text, "\n", "\n    ")
	switch {
	case node.Kind == yaml.SequenceNode && has(node.Content[0], "path"):
		return []string{"hooks:\n" + s.text}
	case node.Kind == yaml.SequenceNode:
		return []string{"hooks:\n- name: page\n  path: /page\n  provider: github\n  secret: ${SECRET}\n  rules:\n" + indented}
	case has(node, "hooks") || has(node, "config"): // whose hooks are elsewhere
		return []string{s.text}
	case has(node, keysOfFile...):
		return []string{s.text + "\nhooks:\n- {name: site, path: /page, provider: github, secret: '${SECRET}', rules: [{name: deploy, run: 'true'}]}\n"}
	case repeats(node):
		return s.each()
	}
	hook := "hooks:\n  - name: page\n"
	if !has(node, "path") {
		hook += "    path: /page\n"
	}
	if !has(node, "provider", "verify") {
		hook += "    provider: github\n"
	}
	if !has(node, "secret") && !regexp.MustCompile(`^verify: (none|\{scheme: (jwt|mtls))`).MatchString(s.text) {
		hook += "    secret: ${SECRET}\n"
	}
	if !has(node, "run", "exec", "http", "rules") {
		hook += "    run: 'true'\n"
	}
	return []string{hook + indented + "\n"}
}

// each takes a block that shows one key in several ways apart.
func (s snippet) each() (files []string) {
	parts := regexp.MustCompile(`(?m)^\w`).FindAllStringIndex(s.text, -1)
	for i, at := range parts {
		end := len(s.text)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		part := s.text[at[0]:end]
		if part == s.text {
			return []string{s.text} // it is no YAML, and will be told so
		}
		files = append(files, snippet{s.page, s.line, part}.whole()...)
	}
	return files
}

func repeats(n *yaml.Node) bool {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if seen[n.Content[i].Value] {
			return true
		}
		seen[n.Content[i].Value] = true
	}
	return false
}

var (
	variable  = regexp.MustCompile(`\$\{([A-Z_][A-Z0-9_]*)\}`)
	reference = regexp.MustCompile(`\$\{(file|credential):([^}]*)\}`)
	account   = regexp.MustCompile(`(?m)^ *user: .*\n`)           // which only root may name, and which has to be there
	grouped   = regexp.MustCompile(`\b(cpu|processes): [\d.]+, `) // which only a control group holds
	absolute  = regexp.MustCompile(`/srv/[\w/]+`)
	folder    = regexp.MustCompile(`\./(\w+)\]`)
	beside    = regexp.MustCompile(`(?:\./)?((?:testdata/|bin/)?[\w-]+\.(?:sh|json|pem|py))\b`)
)

// loads reads a file that a page shows, with what it refers to around it, and with this key for
// each of its secrets.
func loads(t *testing.T, file, key string) *config.Diagnostics {
	t.Helper()
	dir := shortDir(t)
	root := filepath.Join(dir, "root")
	environ := []string{"CREDENTIALS_DIRECTORY=" + dir}
	for _, v := range variable.FindAllStringSubmatch(file, -1) {
		value := key
		if strings.HasSuffix(v[1], "URL") {
			value = "https://example.com/" + strings.ToLower(v[1])
		}
		environ = append(environ, v[1]+"="+value)
	}
	file = reference.ReplaceAllStringFunc(file, func(r string) string {
		parts := reference.FindStringSubmatch(r)
		name := "secret-" + path.Base(parts[2])
		content := secret
		if path.Ext(name) == ".pem" { // a GitHub App's key
			content = string(sendertest.AppKey())
		}
		write(t, filepath.Join(dir, name), content)
		return "${" + parts[1] + ":" + map[bool]string{true: filepath.Join(dir, name), false: name}[parts[1] == "file"] + "}"
	})
	file = account.ReplaceAllString(file, "")
	if g, known := groups.Taken(); known && g == nil { // by the daemon of another test
		file = grouped.ReplaceAllString(file, "")
	}
	folders := []string{root}
	for _, p := range absolute.FindAllString(file, -1) {
		folders = append(folders, filepath.Join(root, p))
		file = strings.ReplaceAll(file, p, filepath.Join(root, p))
	}
	for _, in := range folders {
		must(t, os.MkdirAll(in, 0o700))
		for _, p := range folder.FindAllStringSubmatch(file, -1) {
			must(t, os.MkdirAll(filepath.Join(root, p[1]), 0o700))
		}
		for _, p := range beside.FindAllStringSubmatch(file, -1) {
			at := filepath.Join(in, p[1])
			must(t, os.MkdirAll(filepath.Dir(at), 0o700))
			must(t, os.WriteFile(at, certificate(t), 0o700))
		}
	}
	name := filepath.Join(root, "hooks.yaml")
	write(t, name, file)
	_, d := daemon.Load(config.Options{Path: name, Environ: environ}, false)
	return d
}

// keys are what secrets look like: some schemes want one of a certain form, or a public key.
func keys(t *testing.T) []string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	must(t, err)
	return []string{"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", strings.Repeat("d7", 32), base64.StdEncoding.EncodeToString(der)}
}

// certificate is what any file that a page names has in it: as a script it does nothing, as a
// payload it is not read.
func certificate(t *testing.T) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestDocs_EveryConfigurationLoads reads all YAML of all pages as serve would.
func TestDocs_EveryConfigurationLoads(t *testing.T) {
	all := snippets(t)
	if len(all) < 25 {
		t.Fatalf("%d blocks of YAML", len(all))
	}
	secrets := keys(t)
	for _, s := range all {
		for _, file := range s.whole() {
			var d *config.Diagnostics
			for _, key := range secrets {
				if d = loads(t, file, key); d.Err() == nil {
					break
				}
			}
			if d.Err() != nil {
				var b strings.Builder
				d.Print(&b, false)
				t.Errorf("%s:%d does not load:\n%s\n%s", s.page, s.line, b.String(), file)
			}
		}
	}
}
