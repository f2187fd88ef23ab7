package ui_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// hostileTexts are what a sender may write to leave the place where its text stands.
var hostileTexts = []string{
	`<script>window.pwned=1</script>`,
	`<img src=x onerror="window.pwned=1">`,
	`"><svg onload=window.pwned=1>`,
	`' onmouseover='window.pwned=1' x='`,
	`</pre></td></table><h1>owned</h1>`,
	`</textarea><script>window.pwned=1</script>`,
	`javascript:window.pwned=1`,
	`{{.CSRF}}{{template "layout" .}}`,
	`<!--<script>`,
	`&lt;script&gt;&#x3c;`,
	"\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m",
	"\x1b]8;;javascript:window.pwned=1\x1b\\link\x1b]8;;\x1b\\",
	"\u202egnp.exe\u2066\u200b",
	"\x00\x01\x7f\xff\xfe",
	`<a hx-get="https://evil.example/" hx-trigger="load">x</a>`,
	`<meta http-equiv="refresh" content="0;url=https://evil.example/">`,
	`<link rel=stylesheet href="//evil.example/x.css"><base href="//evil.example/">`,
	`<form action="https://evil.example"><button>Log in</button></form>`,
	strings.Repeat("A", 1500) + "<b>",
}

// TestBrowser_ShowsHostileTextAsText puts each of them wherever a sender can write: the body, its
// names, header values, the event, the delivery's key, the path, the query, and a command's output.
func TestBrowser_ShowsHostileTextAsText(t *testing.T) {
	s := serve(t, `hooks:
  - name: site
    path: /any/{part}
    provider: github
    secret: SECRET
    rules:
      - name: echo
        match: payload.text != "nothing"
        run: 'cat; printf %s "$TEXT" >&2; exit 4'
        env: {TEXT: "${{ payload.text }}"}
        concurrency: {key: "${{ params.part }}", limit: 1}
      - {name: compare, match: payload.text > 3, run: "true"}
`)
	var deliveries, jobs []string
	for _, text := range hostileTexts {
		body, err := json.Marshal(map[string]any{"text": text, text[:min(len(text), 100)]: []string{text}})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "\x00") {
			body = []byte(`{"text":"\u0000\u0001\u007f", "\u202e":1}`)
		}
		header := map[string]string{"Content-Type": "application/json", "X-GitHub-Event": printable(text), "X-GitHub-Delivery": printable(text), "X-Text": printable(text), "User-Agent": printable(text)}
		segment := url.PathEscape(strings.ReplaceAll(text[:min(len(text), 200)], "/", "|"))
		got := s.push("/any/"+segment+"?q="+url.QueryEscape(text), payload{header, string(body)})
		if got.Delivery == "" {
			t.Fatalf("%.100q was not taken: %+v", text, got)
		}
		deliveries = append(deliveries, got.Delivery)
		for _, id := range got.Jobs {
			s.ended(id)
			jobs = append(jobs, id)
		}
		s.push("/"+segment, payload{header, string(body)}) // no hook has it
	}
	b := s.open()
	b.logIn()
	paths := []string{"/", "/deliveries", "/jobs", "/rejected", "/hooks/site", "/deliveries?event=" + url.QueryEscape(hostileTexts[0]), "/nothing/" + url.PathEscape(hostileTexts[0])}
	for i := range deliveries {
		paths = append(paths, "/deliveries/"+deliveries[i], "/jobs/"+jobs[i])
	}
	paths = append(paths, "/deliveries/"+deliveries[0]+"/replay")
	for _, path := range paths {
		b.goTo(path)
		if strings.HasPrefix(path, "/nothing") {
			b.forgive("404")
		}
		found := value[string](b, `[window.pwned ? "a script ran" : "",
			...[...document.querySelectorAll("main script, main iframe, main object, main base, main meta, main link, main img, main form[action^=http], main [hx-get*=evil], main [onerror], main [onload], main [onmouseover]")].map(e => e.outerHTML.slice(0, 200)),
			...[...document.querySelectorAll("a[href]")].filter(a => !a.getAttribute("href").startsWith("/") && !a.getAttribute("href").startsWith("#")).map(a => a.outerHTML.slice(0, 200)),
			document.querySelectorAll("h1").length === 1 ? "" : "another heading",
			/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/.test(document.querySelector("main").textContent) ? "a hidden character" : ""].filter(Boolean).join("\n")`)
		if found != "" {
			t.Errorf("%s:\n%s", path, found)
		}
		b.faultless()
	}
	b.goTo("/deliveries/" + deliveries[0])
	b.sees(".code", hostileTexts[0])
	b.sees(".kv", hostileTexts[0])
	b.sees("h1", hostileTexts[0])
	b.goTo("/jobs/" + jobs[0])
	b.sees(".output", hostileTexts[0])
	b.must(chromedp.Do(b.ctx, chromedp.WaitReady("main")))
}

// printable is what of a text can stand in a header.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, text[:min(len(text), 200)])
}
