package ui_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// mustHaveBrowser makes a missing browser, or a missing axe-core, a failure: .ci/run sets it after
// it has installed both.
var mustHaveBrowser = os.Getenv("TENTERHOOK_BROWSER") == "required"

// missing ends a test that lacks something to run with.
func missing(t *testing.T, what string) {
	t.Helper()
	if mustHaveBrowser {
		t.Fatal(what)
	}
	t.Skip(what)
}

// chromium is one browser for all tests: to start it takes longer than most of them.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.stop != nil {
		chromium.stop()
	}
	os.Exit(code)
}

func startChromium(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		missing(t, "no Chromium on this machine: apt-get install chromium")
	}
	chromium.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Headless, chromedp.NoFirstRun, chromedp.WindowSize(1280, 900),
			chromedp.Flag("disable-background-networking", true), chromedp.WSURLReadTimeout(time.Minute))
		allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, end := chromedp.NewContext(allocator)
		chromium.ctx, chromium.stop = ctx, func() { _ = chromedp.Cancel(ctx); end(); endAllocator() }
		chromium.err = chromedp.Do(ctx)
	})
	if chromium.err != nil {
		t.Fatalf("start %s: %v", path, chromium.err)
	}
	return chromium.ctx
}

// tab is a page of a browser profile of its own. Whatever goes wrong in it that a person would not
// see fails the test: an error in its console, a report of the content security policy, a request
// to another host.
type tab struct {
	*site
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string
	bytes  float64 // that were transferred
}

// open opens a tab on a site.
func (s *site) open() *tab {
	s.t.Helper()
	parent := startChromium(s.t)
	ctx, end := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	ctx, tooLong := context.WithTimeout(ctx, 3*time.Minute)
	b := &tab{site: s, t: s.t, ctx: ctx}
	s.t.Cleanup(func() {
		b.faultless()
		tooLong()
		end()
	})
	b.must(chromedp.Listen(ctx, b.heard))
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{cdplog.Enable, runtime.Enable} {
		_, err := chromedp.Call(ctx, enable, cdp.Empty{})
		b.must(err)
	}
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	b.must(err)
	return b
}

// heard notes what the browser tells. It must not block.
func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			b.faults = append(b.faults, "console: "+text(e.Args))
		}
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Text)
		if e.ExceptionDetails.Exception != nil {
			b.faults = append(b.faults, e.ExceptionDetails.Exception.Description)
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			b.faults = append(b.faults, "browser: "+e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.base+"/") {
			b.faults = append(b.faults, "a request to "+e.Request.URL)
		}
	case *network.EventLoadingFinished:
		b.bytes += e.EncodedDataLength
	}
}

func text(args []*runtime.RemoteObject) string {
	var words []string
	for _, a := range args {
		words = append(words, string(a.Value)+a.Description)
	}
	return strings.Join(words, " ")
}

// forgive drops a fault that a test brought about itself.
func (b *tab) forgive(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var left []string
	for _, fault := range b.faults {
		if !strings.Contains(fault, part) {
			left = append(left, fault)
		}
	}
	b.faults = left
}

func (b *tab) faultless() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		b.t.Error(fault)
	}
	b.faults = nil
}

func (b *tab) must(err error) {
	b.t.Helper()
	if err == nil {
		return
	}
	if picture := os.Getenv("TENTERHOOK_BROWSER_SHOTS"); picture != "" {
		if png, shotErr := chromedp.Run(b.ctx, chromedp.FullScreenshot(100)); shotErr == nil {
			_ = os.WriteFile(filepath.Join(picture, strings.ReplaceAll(b.t.Name(), "/", "-")+".png"), png, 0o600)
		}
	}
	b.t.Fatal(err)
}

// goTo loads a page of the site.
func (b *tab) goTo(path string) {
	b.t.Helper()
	b.must(chromedp.Do(b.ctx, chromedp.Navigate(b.base+path)))
}

// logIn comes in by a link, as the command line prints it.
func (b *tab) logIn() {
	b.t.Helper()
	link, err := b.client.LoginLink(b.ctx)
	b.must(err)
	b.goTo(link.Path)
	b.click(`button.primary`)
	b.sees("main h1", "Overview")
}

// click presses what a selector finds.
func (b *tab) click(selector string) {
	b.t.Helper()
	err := chromedp.Do(b.ctx, chromedp.Click(selector, chromedp.NodeVisible))
	if err != nil && strings.Contains(err.Error(), "find node") { // it was replaced by a newer one
		err = chromedp.Do(b.ctx, chromedp.Click(selector, chromedp.NodeVisible))
	}
	b.must(err)
}

// waitFor waits until an expression of the page is true.
func (b *tab) waitFor(what, expression string) {
	b.t.Helper()
	within(b.t, what, func() bool {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && ok // an error: the page is being replaced
	})
}

// sees waits until an element has a text.
func (b *tab) sees(selector, text string) {
	b.t.Helper()
	expression := `[...document.querySelectorAll(` + quoted(selector) + `)].some(e => e.textContent.includes(` + quoted(text) + `))`
	b.waitFor(selector+" with "+text+", at "+b.location(), expression)
}

func (b *tab) location() string {
	at, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return at
}

// value is what an expression of the page comes to.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	b.must(err)
	return v
}

func (b *tab) key(keys string) {
	b.t.Helper()
	b.must(chromedp.Do(b.ctx, chromedp.KeyEvent(keys)))
}
