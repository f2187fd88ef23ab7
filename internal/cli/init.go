package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// initCmd is "init".
type initCmd struct {
	Providers []string `arg:"" optional:"" complete:"providers" placeholder:"PROVIDER" help:"Senders to make a hook for: see \"tenterhook providers\". Asked for at a terminal."`
	URL       string   `name:"url" placeholder:"URL" help:"Address under which senders reach this machine, such as https://hooks.example.com."`
	Force     bool     `help:"Write over a configuration that is there. Secrets that are there are kept."`
	JSON      bool     `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (initCmd) Help() string {
	return `Writes hooks.yaml with a hook for each sender, and a fresh random secret for each hook in a file of its own (secrets/NAME, which only you can read, and which Git leaves out). Then it says where to paste the address and the secret. The file works as it is: "serve" starts with it, and "send NAME" tries a hook.

    tenterhook init
    tenterhook init github stripe --url https://hooks.example.com
    tenterhook -c /etc/tenterhook/hooks.yaml init github`
}

// started is the JSON of the command.
type started struct {
	Config string        `json:"config"`
	Hooks  []startedHook `json:"hooks"`
}

type startedHook struct {
	Name        string `json:"name"`
	Provider    string `json:"provider"`
	Address     string `json:"address"`
	Secret      string `json:"secret_file"` // "" when the sender has none
	Kept        bool   `json:"secret_kept"` // it was there already
	Placeholder bool   `json:"placeholder"` // what the sender gives has to take its place
	Setup       string `json:"setup"`       // where to click at the sender

	preset *provider.Preset
	secret string
}

// Run asks what it was not told, and writes.
func (c initCmd) Run(e *env) error {
	if err := c.free(e.config); err != nil {
		return err
	}
	if len(c.Providers) == 0 {
		if f, ok := e.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
			return misuse(errors.New("no sender is named"), "tenterhook init github", `"tenterhook providers" lists them`)
		}
		if err := c.ask(e); err != nil {
			return err
		}
	}
	base, err := baseURL(c.URL)
	if err != nil {
		return err
	}
	hooks, err := startHooks(c.Providers, base)
	if err != nil {
		return err
	}
	if err := c.write(e, hooks); err != nil {
		return err
	}
	if _, d := daemon.Load(e.configuration(nil), false); d.Err() != nil {
		d.Print(e.stderr, e.err.color)
		return said(exitConfig)
	}
	if c.JSON {
		return writeJSON(e.stdout, started{e.config, hooks})
	}
	e.showStarted(hooks)
	return nil
}

// free refuses to write over a configuration.
func (c initCmd) free(path string) error {
	if _, err := os.Lstat(path); err == nil && !c.Force {
		return fail(fmt.Errorf("%s is there already", path), "-c FILE writes another", "--force writes over it")
	}
	return nil
}

// ask asks for the senders and the address.
func (c *initCmd) ask(e *env) error {
	in := bufio.NewReader(e.stdin)
	for len(c.Providers) == 0 {
		answer, err := e.question(in, "Which senders? Names between spaces; ? lists them", "github")
		if err != nil {
			return err
		}
		if answer == "?" {
			fmt.Fprintln(e.stderr, strings.Join(provider.Names(), " "))
			continue
		}
		c.Providers = strings.Fields(strings.ReplaceAll(answer, ",", " "))
		if _, err := startHooks(c.Providers, ""); err != nil {
			e.report(err)
			c.Providers = nil
		}
	}
	for c.URL == "" {
		answer, err := e.question(in, "Under which address do they reach this machine?", "https://hooks.example.com")
		if err != nil {
			return err
		}
		if _, err := baseURL(answer); err != nil {
			e.report(err)
			continue
		}
		c.URL = answer
	}
	return nil
}

// question asks once; an empty answer is the proposed one.
func (e *env) question(in *bufio.Reader, text, proposed string) (string, error) {
	fmt.Fprintf(e.stderr, "%s %s ", e.err.paint(bold, text), e.err.paint(faint, "["+proposed+"]"))
	answer, err := in.ReadString('\n')
	if err != nil {
		fmt.Fprintln(e.stderr)
		if errors.Is(err, io.EOF) {
			return "", fail(errors.New("no answer: nothing was written"))
		}
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return cmp.Or(strings.TrimSpace(answer), proposed), nil
}

func baseURL(text string) (string, error) {
	text = strings.TrimRight(text, "/")
	if text == "" {
		return "https://hooks.example.com", nil
	}
	if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.User != nil {
		return "", misuse(fmt.Errorf("%q is no address such as https://hooks.example.com", text), "--url https://hooks.example.com")
	}
	return text, nil
}

// startHooks are the hooks of some senders, each with a secret.
func startHooks(names []string, base string) ([]startedHook, error) {
	var hooks []startedHook
	for _, name := range names {
		p, ok := provider.Lookup(name)
		if !ok {
			hint := `"tenterhook providers" lists them`
			if near := config.Suggest(name, provider.Names()); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return nil, misuse(fmt.Errorf("there is no provider %q", name), hint)
		}
		if p.NeedsVerify {
			return nil, fail(fmt.Errorf("%s needs settings that only you know", p.Name), fmt.Sprintf(`"tenterhook providers %s" says which`, p.Name))
		}
		h := startedHook{Name: p.Name, Provider: p.Name, Setup: oneLine(p.Setup), preset: p}
		if slices.ContainsFunc(hooks, func(other startedHook) bool { return other.Name == h.Name }) {
			return nil, misuse(fmt.Errorf("%s is named twice", p.Name), "a second hook of one sender is a copy with another name and path")
		}
		h.Address = base + "/" + h.Name
		if secret, signs := verify.FreshSecret(p.Verifier(), func() *request.Request { return sampleOf(p) }); secret != "" {
			h.secret, h.Placeholder, h.Secret = secret, !signs, filepath.Join("secrets", h.Name)
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// sampleOf is a request as the sender would send it, but for the signature.
func sampleOf(p *provider.Preset) *request.Request {
	r := &request.Request{
		Method: "POST", Path: "/" + p.Name, Host: "localhost", Header: http.Header{"Content-Type": {"application/json"}},
		ReceivedAt: time.Now(), Body: p.Samples[0].Body,
	}
	if p.Samples[0].ContentType != "" {
		r.Header.Set("Content-Type", p.Samples[0].ContentType)
	}
	if p.Address != nil {
		p.Address(r, job.NewID(), p.Samples[0].Event)
	}
	return r
}

// write writes the secrets, and then the file that names them.
func (c initCmd) write(e *env, hooks []startedHook) error {
	dir := filepath.Dir(e.config)
	folder := filepath.Join(dir, "secrets")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	for i := range hooks {
		h := &hooks[i]
		if h.Secret == "" {
			continue
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", folder, err)
		}
		if err := writeFresh(filepath.Join(folder, ".gitignore"), "*\n"); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		err := writeFresh(filepath.Join(dir, h.Secret), h.secret+"\n")
		if h.Kept = errors.Is(err, fs.ErrExist); err != nil && !h.Kept {
			return err
		}
	}
	if c.Force {
		if err := os.Remove(e.config); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write over %s: %w", e.config, err)
		}
	}
	if err := writeFresh(e.config, startText(hooks)); err != nil {
		return fail(err, "--force writes over a file that is there")
	}
	return nil
}

// writeFresh writes a private file that must not be there yet.
func writeFresh(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// startText is the file.
func startText(hooks []startedHook) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# yaml-language-server: $schema=%s\n", daemon.SchemaAddress)
	b.WriteString(`#
# "tenterhook serve" takes deliveries at 127.0.0.1:9000, behind a proxy with TLS; every good edit of this
# file is taken up while it runs. "tenterhook check" tells what is wrong with one.

# server:
#   listen: 127.0.0.1:9000        # :9000 is every address of this machine
#   trusted_proxies: [127.0.0.1]  # whose X-Forwarded-For is believed

hooks:
`)
	for i, h := range hooks {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "  - name: %s\n    path: /%s\n    provider: %s\n", h.Name, h.Name, h.Provider)
		if h.Secret != "" {
			fmt.Fprintf(&b, "    secret: ${file:%s}\n", filepath.ToSlash(h.Secret))
		}
		if s := h.preset.Samples; h.preset.Event != nil && len(s) > 0 && s[0].Event != "" {
			fmt.Fprintf(&b, "    match: event == %q    # which deliveries start it\n", s[0].Event)
		}
		fmt.Fprintf(&b, "    run: |\n      echo \"$HOOK_EVENT from %s: delivery $HOOK_DELIVERY, its body in $HOOK_PAYLOAD_FILE\"\n", h.Name)
	}
	return b.String()
}

// showStarted says what was written and what comes next.
func (e *env) showStarted(hooks []startedHook) {
	fmt.Fprintf(e.stdout, "%s %s\n", e.out.paint(green, "wrote"), printable(e.config))
	for _, h := range hooks {
		secret := ""
		if h.Secret != "" {
			path := filepath.Join(filepath.Dir(e.config), h.Secret)
			secret = "cat " + printable(path)
			switch {
			case h.Kept:
				secret += e.out.paint(faint, "   the one that was there")
			case h.Placeholder:
				secret = "put what the sender gives you in " + printable(path) + e.out.paint(yellow, "   until then nothing verifies")
			}
		}
		fmt.Fprintf(e.stdout, "\n%s\n", e.out.paint(bold, h.preset.Title))
		facts(e.stdout, e.out, [2]string{"  address", printable(h.Address)}, [2]string{"  secret", secret}, [2]string{"  where", e.wrapped(h.Setup, 11)})
	}
	fmt.Fprintln(e.stdout)
	flag := ""
	if e.config != "hooks.yaml" {
		flag = " -c " + printable(e.config)
	}
	try := slices.IndexFunc(hooks, func(h startedHook) bool { return !h.Placeholder })
	next := [][2]string{{"tenterhook" + flag + " serve", "starts it"}}
	if try >= 0 {
		next = append(next, [2]string{"tenterhook" + flag + " send " + hooks[try].Name, "tries a hook, signed as the sender would"})
	}
	for _, n := range next {
		fmt.Fprintf(e.stdout, "  %-36s %s\n", n[0], e.out.paint(faint, n[1]))
	}
	if slices.ContainsFunc(hooks, func(h startedHook) bool { return h.Secret != "" && !h.Kept }) {
		e.say("where a sender makes the secret itself, put that one in the file instead")
	}
}

// wrapped breaks text for the terminal, its further lines set in.
func (e *env) wrapped(text string, indent int) string {
	width := min(cmp.Or(e.out.width, 100), 100) - indent
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return strings.Join(append(lines, line), "\n"+strings.Repeat(" ", indent))
}
