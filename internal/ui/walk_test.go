package ui_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// fill delivers what real senders sent, and waits for what comes of it. It returns the delivery
// that matched and its job, and the job that runs until it is cancelled.
func (s *site) fill() (pushed sent, running string) {
	s.t.Helper()
	push := readPayload(s.t, "github-push")
	push.Body = strings.ReplaceAll(push.Body, "refs/tags/simple-tag", "refs/heads/main")
	pushed = s.push("/github/web", push)
	s.ended(pushed.Jobs[0])
	s.push("/github/web", readPayload(s.t, "github-issues"))
	s.push("/github/web", readPayload(s.t, "github-ping"))
	s.push("/github/web", readPayload(s.t, "github-release"))
	running = s.push("/slow", push).Jobs[0]
	within(s.t, "the slow job to write", func() bool {
		out, err := s.client.Output(s.t.Context(), running, 0)
		return err == nil && strings.Contains(string(out.Body), "started")
	})
	s.push("/slow", push)
	forged := readPayload(s.t, "github-push")
	forged.Headers["X-Hub-Signature-256"] = "sha256=" + strings.Repeat("0", 64)
	s.push("/github/web", forged)
	s.push("/nowhere", forged)
	return pushed, running
}

func TestBrowser_WalksEveryScreenAndAction(t *testing.T) {
	s := serve(t, hooks)
	b := s.open()
	b.logIn()
	b.sees(".empty", "Nothing was delivered yet")
	pushed, running := s.fill()

	b.sees("#overview", "site/label could not be evaluated") // it came to the page by itself
	b.sees(".notices", "chat verifies nothing")
	b.sees("#overview .cards", "Running")
	b.check()

	b.click(`nav a[href="/deliveries"]`)
	b.sees("#list", "issues")
	b.sees("#list", "1 rule not evaluated")
	b.check()
	b.scripted()
	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](`{const s = document.querySelector('select[name="outcome"]'); s.value = "ignored"; s.dispatchEvent(new Event("change", {bubbles: true}))}`)))
	b.waitFor("the filter to be in the address", `location.search === "?outcome=ignored" && !document.querySelector("#list").textContent.includes("deploy")`)
	b.goTo("/deliveries?event=nothing-like-it")
	b.sees(".empty", "No delivery is like that")
	b.goTo("/deliveries?grep=Codertocat&match=" + url.QueryEscape(`event == "push" && payload.ref endsWith "main"`))
	b.sees("#list", "deploy")
	b.sees("main", "looked into")
	b.check()
	b.goTo("/deliveries?match=evnt")
	b.sees("main", `did you mean "event"`)
	b.forgive("400")
	b.goTo("/deliveries?state=no-such-state")
	b.sees("main", "State must be one of")
	b.forgive("400")

	b.goTo("/deliveries/" + pushed.Delivery)
	b.sees(".rule.is-match", "deploy")
	b.sees(".rule.is-match .values", `"Hello-World"`)
	b.sees(".kv", "withheld")
	b.sees(".code", `"Codertocat/Hello-World"`)
	b.must(chromedp.Do(b.ctx, chromedp.SendKeys("#find", "codertocat")))
	b.waitFor("the search to find", `/^1 of \d+$/.test(document.getElementById("found").textContent)`)
	b.check()

	b.click(`a.primary`)
	b.sees("h1", "Replay")
	b.sees(".choice", "deploy")
	b.check()
	b.click(`.choice button.primary`)
	b.sees(".said", "Replayed")
	b.sees(".output", "<script>pwned()</script>")
	b.sees(".output span.a-3", "green")
	b.check()
	b.click(`.head form button.primary`)
	b.sees(".said", "queued again")
	b.sees(".attempt", "Attempt 2")

	b.goTo("/jobs/" + running)
	b.sees(".output", "started")
	b.check()
	b.click(".confirm summary")
	b.click(".confirm button")
	b.sees(".said", "told to stop")
	b.sees(".facts .st", "cancelled")

	b.goTo("/deliveries/" + pushed.Delivery)
	b.click(`.rule.is-match a.try`)
	b.sees("#bench-result", "with this condition")
	b.sees("#bench-result", `"Hello-World"`)
	b.check()
	b.types("#match", `event == "pull"`)
	b.sees("#bench-result", "no match")
	b.types("#match", `evnt == "pull"`)
	b.sees("#bench-result mark", "evnt")
	b.check()

	b.goTo("/jobs?state=scheduled")
	b.sees("#list", "retried")
	b.check()
	b.click("#list a[data-open]")
	b.sees(".reason", "Attempt 1 ended badly")

	b.click(`nav a[href="/docs/"]`)
	b.sees("h1", "Documentation")
	b.check()
	b.click(`.prose a[href="/docs/flow-control"]`)
	b.sees("h1", "Flow control")
	b.waitFor("the page's pictures", `document.querySelectorAll(".prose img").length > 5 && [...document.querySelectorAll(".prose img")].every((i) => i.complete && i.naturalWidth > 0)`)
	b.check()
	b.click(`.docs-menu a[href="/docs/ui"]`)
	b.sees("h1", "The web UI")
	b.check()
	b.goTo("/docs/no-such-page")
	b.sees("main", "There is nothing here")
	b.forgive("404")

	b.goTo("/hooks")
	b.sees("table", "/github/{repo}")
	b.check()
	b.click(`table a[href="/hooks/site"]`)
	b.sees("h1", "site")
	b.sees(".panel", "secret 2")
	b.check()
	b.click(`.head form button`)
	b.sees(".said", "is paused")
	b.sees("h1", "paused")
	b.click(`.head form button`)
	b.sees(".said", "starts jobs again")
	b.click(`form[action="/hooks/site/rules/deploy/pause"] button`)
	b.sees(".said", "site/deploy is paused")
	b.goTo("/")
	b.sees(".notices", "site/deploy is paused")

	b.goTo("/rejected")
	b.sees("#list, .rejects", "verification_failed")
	b.sees(".rejects", "not_found")
	b.check()

	b.goTo("/config")
	b.sees("main", "no problems")
	b.check()
	s.configure(strings.Replace(hooks, "event ==", "evnt ==", 1))
	b.click(`.head form button`)
	b.sees(".said", "nothing was changed")
	b.sees(".problem mark", "evnt")
	b.sees(".problem", `did you mean "event"`)
	b.check()
	s.configure(hooks)
	b.click(`.head form button`)
	b.sees("main", "no problems")
	b.sees("#h-reloads + div", "refused")

	b.click(`a[href="/config/plan"]`)
	b.sees("h1", "Backtest")
	b.check()
	content, err := os.ReadFile(s.dir + "/hooks.yaml")
	b.must(err)
	candidate := strings.Replace(string(content), `== "Hello-World"`, `== "Other"`, 1)
	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector("textarea").value = `+quoted(candidate))))
	b.click(".wide-form button")
	b.sees("table", "lost")
	b.check()
	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](`{const t = document.querySelector("textarea"); t.value = t.value.replace("event ==", "evnt ==")}`)))
	b.click(".wide-form button")
	b.sees(".problem mark", "evnt")

	b.goTo("/audit")
	b.sees("table", "site/deploy")
	b.sees("table", "cancel")
	b.sees("table", "login")
	b.check()

	b.goTo("/deliveries/019c0000-0000-7000-8000-000000000000")
	b.sees("main", "There is nothing here")
	b.forgive("404")
	b.check()
	b.click(`form[action="/logout"] button`)
	b.sees("main", "tenterhook ui")
	b.check()
}

func TestBrowser_WorksWithoutScripts(t *testing.T) {
	s := serve(t, hooks)
	pushed, running := s.fill()
	b := s.open()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.must(err)
	shows := func(text string) {
		t.Helper()
		within(t, text+" at "+b.location(), func() bool {
			html, err := chromedp.Run(b.ctx, chromedp.OuterHTML("html"))
			return err == nil && strings.Contains(html, text)
		})
	}
	link, err := s.client.LoginLink(t.Context())
	b.must(err)
	b.goTo(link.Path)
	b.click("button.primary")
	shows("could not be evaluated")
	b.goTo("/?span=7d&hook=site")
	shows("7d ago")
	b.goTo("/deliveries")
	shows("no rule matched")
	b.must(chromedp.Do(b.ctx, chromedp.SendKeys(`input[name="event"]`, "release")))
	b.click(".filters button")
	shows(`value="release"`)
	b.goTo("/deliveries/" + pushed.Delivery)
	shows("Hello-World")
	b.click("a.primary")
	b.click(".choice button.primary")
	shows("Replayed: this is the new job")
	b.goTo("/jobs/" + running)
	shows("started")
	b.click(".confirm summary")
	b.click(".confirm button")
	shows("told to stop")
	b.goTo("/hooks/slow")
	b.click(".head form button")
	shows("slow is paused")
	b.click(".head form button")
	shows("slow starts jobs again")
	b.goTo("/config")
	b.click(".head form button")
	shows("Nothing has changed on disk")
	b.goTo("/bench?delivery=" + pushed.Delivery + "&rule=site/deploy")
	shows("with this condition")
	b.must(chromedp.Do(b.ctx, chromedp.SetValue(`textarea[name="match"]`, `event == "pull"`)))
	b.click("form.bench button.primary")
	shows("no match")
	for _, path := range []string{"/jobs", "/hooks", "/rejected", "/audit"} {
		b.goTo(path)
		shows("<table")
	}
	b.click(`form[action="/logout"] button`)
	shows("lets you in once")
}

// check looks at the page as axe-core does, when that is there, and for what would be wrong on
// every page.
func (b *tab) check() {
	b.t.Helper()
	b.faultless()
	if wide := value[string](b, `document.documentElement.scrollWidth > innerWidth ? "the page is wider than the window: " + location.href : ""`); wide != "" {
		b.t.Error(wide)
	}
	path := os.Getenv("TENTERHOOK_AXE")
	if path == "" {
		if mustHaveBrowser {
			b.t.Fatal("TENTERHOOK_AXE does not say where axe.min.js is")
		}
		return
	}
	script, err := os.ReadFile(path)
	b.must(err)
	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](string(script)+";0")))
	for scheme, options := range map[string]string{
		"light": `{resultTypes: ["violations"]}`,
		"dark":  `{resultTypes: ["violations"], runOnly: ["color-contrast", "link-in-text-block"]}`, // all that colours change
	} {
		b.scheme(scheme)
		found, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`axe.run(document, `+options+`).then(r => r.violations
			.filter(v => v.impact === "serious" || v.impact === "critical")
			.map(v => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " " + (n.any[0] ? n.any[0].message : "")).join(" | ")).join("\n"))`, chromedp.EvalAwaitPromise))
		b.must(err)
		if found != "" {
			b.t.Errorf("%s, %s: %s", b.location(), scheme, found)
		}
	}
}

// types puts a text in the place of what a field has, as somebody does who types.
func (b *tab) types(selector, text string) {
	b.t.Helper()
	b.scripted()
	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector(`+quoted(selector)+`).select()`), chromedp.SendKeys(selector, text)))
}

func (b *tab) scheme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	b.must(err)
}
