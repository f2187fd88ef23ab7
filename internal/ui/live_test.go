package ui_test

import (
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestBrowser_InsertsWhatIsNewWithoutMovingWhatIsRead(t *testing.T) {
	s := serve(t, hooks)
	ping := readPayload(t, "github-ping")
	for range 40 {
		s.push("/github/web", ping)
	}
	b := s.open()
	b.logIn()
	b.goTo("/deliveries")
	b.waitFor("the stream to be open", `document.querySelector("#live.on")`)
	rows := `document.querySelectorAll("#list tr[data-row]").length`
	before := value[int](b, rows)

	first := s.push("/github/web", readPayload(t, "github-release"))
	b.waitFor("the new row at the top", `document.querySelector("#list tr[data-row]").id === "d-`+first.Delivery+`"`)
	if got := value[int](b, rows); got != before+1 {
		t.Errorf("%d rows, want %d", got, before+1)
	}

	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](`window.row = document.querySelectorAll("#list tr[data-row]")[20]; row.scrollIntoView({block: "center"}); window.was = row.getBoundingClientRect().top`)))
	second := s.push("/github/web", readPayload(t, "github-release"))
	b.sees("#fresh", "1 new")
	if moved := value[float64](b, `Math.abs(row.getBoundingClientRect().top - was)`); moved > 40 {
		t.Errorf("what was read moved by %v pixels", moved)
	}
	b.click("#fresh")
	b.waitFor("it to be inserted", `document.querySelector("#list tr[data-row]").id === "d-`+second.Delivery+`" && scrollY < 60`)
}

func TestBrowser_FollowsARunningJobToItsEnd(t *testing.T) {
	s := serve(t, `hooks:
  - {name: slow, path: /slow, provider: github, secret: SECRET, run: 'echo one; while [ ! -e "$GO" ]; do sleep 0.05; done; echo two', env: {GO: "${{ payload.go }}"}}
`)
	got := s.push("/slow", payload{map[string]string{"Content-Type": "application/json", "X-GitHub-Event": "push"}, `{"go":` + quoted(s.dir+"/go") + `}`})
	b := s.open()
	b.logIn()
	b.goTo("/jobs/" + got.Jobs[0])
	b.sees(".output", "one")
	b.click(".confirm summary") // stays open while the page is kept up to date
	b.waitFor("the page to be asked for again", `performance.getEntriesByType("resource").filter(e => e.name.includes("part=job")).length > 1`)
	b.waitFor("what was opened to be open", `document.getElementById("confirm").open`)
	writeFile(t, s.dir+"/go")
	b.sees(".output", "two")
	b.sees(".facts .st", "succeeded")
	b.sees(".head button", "Run again")
}

func TestBrowser_MovesByKeys(t *testing.T) {
	s := serve(t, hooks)
	s.fill()
	b := s.open()
	b.logIn()
	b.scripted()
	b.key("gd")
	b.waitFor("deliveries", `location.pathname === "/deliveries"`)
	b.scripted()
	b.key("jjk")
	if row := value[int](b, `[...document.querySelectorAll("#list [data-open]")].indexOf(document.activeElement)`); row != 0 {
		t.Errorf("after j j k the focus is in row %d", row)
	}
	b.key("/")
	if name := value[string](b, `document.activeElement.name`); name != "match" {
		t.Errorf("after / the focus is in %q", name)
	}
	b.key("j?") // text, in a field
	if text := value[string](b, `document.activeElement.value`); !strings.HasSuffix(text, "j?") {
		t.Errorf("the field has %q", text)
	}
	b.key("\x1b")
	b.key("?")
	b.waitFor("the help", `document.getElementById("keys").open`)
	b.check()
	b.click("#keys button")
	b.key("j\r")
	b.waitFor("the delivery", `location.pathname.startsWith("/deliveries/")`)
}

// scripted waits until the page's scripts have run.
func (b *tab) scripted() {
	b.t.Helper()
	b.waitFor("the scripts", `document.readyState === "complete" && document.documentElement.classList.contains("js")`)
}

func TestBrowser_FirstPageIsLight(t *testing.T) {
	const most = 150_000
	s := serve(t, hooks)
	s.fill()
	b := s.open()
	b.logIn()
	b.scripted()
	total := func() float64 { // the login page, the overview, and all that they need
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.bytes
	}
	// The browser tells of what it loaded after the page has it.
	parts := value[float64](b, `performance.getEntriesByType("resource").reduce((n, e) => n + e.encodedBodySize, 0)`)
	if parts < 10_000 {
		t.Fatalf("style and scripts are %.0f bytes, as if there were none", parts)
	}
	within(t, "what the page needs", func() bool { return total() >= parts })
	t.Logf("%.0f bytes were transferred", total())
	if total() > most {
		t.Errorf("%.0f bytes were transferred, want at most %d", total(), most)
	}
}

func TestBrowser_KeepsTheCookieOnLoopback(t *testing.T) {
	s := serve(t, hooks)
	b := s.open()
	b.logIn()
	if seen := value[string](b, "document.cookie"); seen != "" {
		t.Errorf("scripts see the cookie %q", seen)
	}
	b.goTo("/jobs")
	b.sees("h1", "Jobs")
	b.goTo("/login?kept=1&next=/hooks") // as after a login: the browser has it
	b.sees("h1", "Hooks")
}

func writeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
