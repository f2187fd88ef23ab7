package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// publishedVector is a signature of a sender's own documentation or tests.
type publishedVector struct {
	Provider, Scheme, Name, Method, URL, Body, Why string
	Secret                                         any
	Headers, Params                                map[string]string
	Now, Tolerance                                 int64
	Valid                                          bool
}

// configuration is the hook a person would write for the sender.
func (v *publishedVector) configuration(t *testing.T, path string) string {
	hook := map[string]any{"name": "it", "path": path, "run": "true", "methods": []string{"GET", "POST", "PUT"}}
	adjust := map[string]any{}
	if v.Provider == "generic-hmac" {
		parts := strings.Split(v.Scheme, "-")
		hook["verify"] = map[string]any{"scheme": "hmac", "header": v.Params["header"], "hash": parts[1], "encoding": parts[2]}
	} else {
		hook["provider"] = v.Provider
	}
	if v.Scheme == "github-legacy" {
		adjust["legacy"] = true
	}
	if v.Tolerance != 0 {
		adjust["tolerance"] = fmt.Sprintf("%ds", v.Tolerance)
	}
	if len(adjust) > 0 {
		hook["verify"] = adjust
	}
	var secrets []any
	switch s := v.Secret.(type) {
	case string:
		secrets = append(secrets, s)
	case []any:
		secrets = s
	}
	for _, name := range []string{"secondary_secret", "certificate_pem"} {
		if s := v.Params[name]; s != "" {
			secrets = append(secrets, s)
		}
	}
	for i, s := range secrets {
		secrets[i] = strings.ReplaceAll(s.(string), "$", "$$")
	}
	if len(secrets) > 0 {
		hook["secret"] = secrets
	}
	out, err := json.Marshal(map[string]any{"hooks": []any{hook}}) // YAML, too
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestExplain_AgreesWithEveryPublishedVector goes the way a person goes: a hooks.yaml with the
// sender's name and the secret, a saved request, and the clock of its time.
func TestExplain_AgreesWithEveryPublishedVector(t *testing.T) {
	n := 0
	for _, name := range []string{"vectors.json", "computed.json"} {
		data, err := os.ReadFile(filepath.Join("..", "provider", "testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Vectors []publishedVector }
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		for _, v := range file.Vectors {
			n++
			t.Run(v.Provider+"/"+v.Name, func(t *testing.T) { explainVector(t, &v) })
		}
	}
	if n < 300 {
		t.Errorf("only %d vectors", n)
	}
}

func explainVector(t *testing.T, v *publishedVector) {
	address := v.URL
	if address == "" {
		address = "https://hooks.example.com/hook"
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	path := u.Path
	if path == "" {
		path = "/"
	}
	dir := t.TempDir()
	file, saved := filepath.Join(dir, "hooks.yaml"), filepath.Join(dir, "request.json")
	write(t, file, v.configuration(t, path))
	request, err := json.Marshal(map[string]any{"method": v.Method, "url": address, "headers": v.Headers, "body": v.Body})
	if err != nil {
		t.Fatal(err)
	}
	write(t, saved, string(request))
	args := []string{"explain", "-c", file, "--request", saved, "--json"}
	if v.Now != 0 {
		args = append(args, "--at", fmt.Sprint(v.Now))
	}
	var stdout, stderr bytes.Buffer
	status := run(args, &env{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now})
	if v.Secret == "" && status == exitConfig {
		return // an empty secret is refused before there is anything to verify
	}
	if status != exitOK {
		t.Fatalf("exit status %d: %s", status, stderr.String())
	}
	var got struct {
		Verified bool
		Reason   string
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Verified != v.Valid {
		t.Errorf("verified is %t (%s), want %t: %s", got.Verified, got.Reason, v.Valid, v.Why)
	}
}
