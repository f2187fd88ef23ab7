package cli

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/provider"
)

// What init writes is what check takes without a warning, and a delivery signed with its secret
// verifies, for every sender that has a secret to share.
func TestInit_WorksAtOnceForEverySender(t *testing.T) {
	var public, open []string
	for _, p := range provider.All() {
		if p.NeedsVerify {
			continue
		}
		var stdout, stderr bytes.Buffer
		e := &env{ctx: context.Background(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, config: filepath.Join(t.TempDir(), "hooks.yaml"), now: time.Now}
		if err := (initCmd{Providers: []string{p.Name}}).Run(e); err != nil {
			t.Fatalf("%s: %v %s", p.Name, err, stderr.String())
		}
		formatted, d := config.Format("hooks.yaml", []byte(startText([]startedHook{{Name: p.Name, Provider: p.Name, preset: p}})))
		if string(formatted) != startText([]startedHook{{Name: p.Name, Provider: p.Name, preset: p}}) {
			t.Errorf("%s: fmt would change it: %v", p.Name, d.Err())
		}
		conf, d := daemon.Load(config.Options{Path: e.config}, false)
		if len(d.All()) > 0 {
			t.Errorf("%s: %v", p.Name, d.All())
			continue
		}
		h := conf.Hooks.Hook(p.Name)
		r := sampleOf(p)
		switch {
		case strings.Contains(stdout.String(), "what the sender gives you in"):
			public = append(public, p.Name)
		case !strings.Contains(stdout.String(), "secrets/"):
			open = append(open, p.Name)
		default:
			if err := h.Sign(r, time.Now()); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			} else if _, err := h.Verify(r, time.Now()); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
	}
	if want := []string{"discord", "paypal", "sendgrid", "telnyx"}; !slices.Equal(public, want) {
		t.Error(cmp.Diff(want, public))
	}
	if want := []string{"aws-sns"}; !slices.Equal(open, want) {
		t.Error(cmp.Diff(want, open))
	}
}

func TestInit_AsksAtATerminalUntilTheAnswerIsGood(t *testing.T) {
	var stderr bytes.Buffer
	e := &env{stdin: strings.NewReader("?\ngthub\ngithub, stripe\nhooks\nhttps://hooks.acme.dev/\n"), stderr: &stderr}
	c := &initCmd{}
	if err := c.ask(e); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Providers, []string{"github", "stripe"}) || c.URL != "https://hooks.acme.dev/" {
		t.Errorf("%+v", c)
	}
	for _, said := range []string{"aws-sns azure-devops", `did you mean "github"?`, `"hooks" is no address`} {
		if !strings.Contains(stderr.String(), said) {
			t.Errorf("it does not say %q: %s", said, stderr.String())
		}
	}
	if err := (&initCmd{}).ask(&env{stdin: strings.NewReader("git"), stderr: &stderr}); err == nil {
		t.Error("half an answer was taken")
	}
}
