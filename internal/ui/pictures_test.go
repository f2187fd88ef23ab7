package ui_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// pictured is what the pictures of docs/ui.md show.
const pictured = `hooks:
  - name: site
    path: /github/{repo}
    provider: github
    secret: [SECRET, other-0123456789abcdef0123456789ab]
    rules:
      - name: deploy
        match: event == "push" && branch == "main"
        run: |
          printf '\033[1mdeploying\033[0m %s\n' "$SHA"
          for step in fetch build migrate restart; do printf '\033[32m✓\033[0m %s \033[2m(cached)\033[0m\n' $step; sleep 0.2; done
          printf '\033[33mwarning:\033[0m 2 packages are out of date\n'
        env: {SHA: "${{ sha }}"}
        concurrency: {key: "deploy-${{ params.repo }}", limit: 1}
      - name: announce
        match: event == "release" && payload.action == "published"
        run: echo announced
      - name: triage
        match: event == "issues" && payload.issue.milestone.numbr > 1
        run: echo triage
      - name: selftest
        match: event == "ping"
        run: 'echo "no route to the build machine" >&2; exit 7'
        retry: {attempts: 3, initial: 40s, jitter: none}
  - name: mirror
    path: /mirror
    provider: github
    secret: SECRET
    rules:
      - name: sync
        run: 'echo "mirroring 1,204 objects"; exec sleep 600'
        concurrency: {key: one, limit: 1}
  - name: chat
    path: /chat
    verify: none
    rules: [{name: say, match: 'payload.text == "hello"', run: echo said}]
`

// TestPictures_ForTheDocumentation takes the pictures of docs/ui.md anew, from the program itself:
//
//	TENTERHOOK_PICTURES=docs/images go test ./internal/ui -run Pictures -count=1
func TestPictures_ForTheDocumentation(t *testing.T) {
	dir := os.Getenv("TENTERHOOK_PICTURES")
	if dir == "" {
		t.Skip("TENTERHOOK_PICTURES does not say where pictures go")
	}
	s := serve(t, pictured)
	pushed, running := s.fillPictures()
	b := s.open()
	b.logIn()
	for _, shot := range []struct{ name, path string }{
		{"overview", "/?span=1h"},
		{"deliveries", "/deliveries"},
		{"delivery", "/deliveries/" + pushed.Delivery},
		{"replay", "/deliveries/" + pushed.Delivery + "/replay"},
		{"job", "/jobs/" + pushed.Jobs[0]},
		{"running", "/jobs/" + running},
		{"hook", "/hooks/site?span=1h"},
		{"bench", "/bench?delivery=" + pushed.Delivery + "&rule=site/deploy"},
		{"rejected", "/rejected"},
		{"audit", "/audit"},
		{"docs", "/docs/flow-control"},
	} {
		b.picture(dir, shot.name, shot.path, 1200, 780, "light")
		b.picture(dir, shot.name+"-phone", shot.path, 390, 780, "dark")
	}
	content, err := os.ReadFile(filepath.Join(s.dir, "hooks.yaml"))
	b.must(err)
	b.picture(dir, "backtest", "/config/plan", 1200, 780, "light") // to be at that size
	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector("textarea").value = `+
		quoted(strings.Replace(string(content), `payload.action == "published"`, `payload.action == "created"`, 1)))))
	b.click(".wide-form button")
	b.sees("table", "lost")
	b.capture(dir, "backtest")
	s.configure(strings.Replace(pictured, "event ==", "evnt ==", 1))
	if _, err := s.client.Reload(t.Context()); err == nil {
		t.Error("a broken configuration was taken up")
	}
	b.picture(dir, "config", "/config", 1200, 780, "light")
	b.picture(dir, "config-phone", "/config", 390, 780, "dark")
}

func (s *site) fillPictures() (pushed sent, running string) {
	s.t.Helper()
	push := readPayload(s.t, "github-push")
	push.Body = strings.ReplaceAll(push.Body, "refs/tags/simple-tag", "refs/heads/main")
	for range 3 {
		for _, name := range []string{"github-release", "github-issues", "github-release"} {
			s.push("/github/web", readPayload(s.t, name))
		}
		pushed = s.push("/github/web", push)
		s.ended(pushed.Jobs[0])
	}
	s.push("/github/web", readPayload(s.t, "github-ping"))
	running = s.push("/mirror", push).Jobs[0]
	s.push("/mirror", push)
	forged := readPayload(s.t, "github-push")
	forged.Headers["X-Hub-Signature-256"] = "sha256=" + strings.Repeat("0", 64)
	for range 4 {
		s.push("/github/web", forged)
	}
	s.push("/wp-login.php", forged)
	if err := s.client.SetPause(s.t.Context(), "site", "announce", true); err != nil {
		s.t.Fatal(err)
	}
	return pushed, running
}

// picture writes one screen of a size and scheme as a small PNG.
func (b *tab) picture(dir, name, path string, width, height int64, scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500})
	b.must(err)
	b.scheme(scheme)
	b.goTo(path)
	b.scripted()
	b.must(chromedp.Do(b.ctx, chromedp.Sleep(300*time.Millisecond))) // for the words "live" and "1s ago"
	b.capture(dir, name)
}

// capture writes what is seen.
func (b *tab) capture(dir, name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	b.must(err)
	file := filepath.Join("..", "..", dir, "ui-"+name+".png")
	b.must(os.WriteFile(file, png, 0o600))
	if tool, err := exec.LookPath("pngquant"); err == nil {
		b.must(exec.Command(tool, "--force", "--skip-if-larger", "--strip", "--output", file, "96", file).Run())
	}
}
