package ui

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
)

func TestTemplates_AllParse(t *testing.T) {
	if n := len(templates()); n < 11 {
		t.Errorf("%d pages have a template", n)
	}
}

func TestTemplates_HaveNoInlineScriptOrStyle(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
	external := regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//`)
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := templateFiles.ReadFile("templates/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range append(inline.FindAllString(string(content), -1), external.FindAllString(string(content), -1)...) {
			t.Errorf("%s has %q", entry.Name(), found)
		}
	}
}

func TestAnsi_KeepsColoursAndNothingElse(t *testing.T) {
	for _, tt := range []struct{ what, in, want string }{
		{"plain text", "done\n", "done\n"},
		{"HTML", "<script>alert(1)</script>&", "&lt;script&gt;alert(1)&lt;/script&gt;&amp;"},
		{"a colour", "\x1b[31mred\x1b[0m plain", `<span class="a-2">red</span> plain`},
		{"several at once", "\x1b[1;4;92mx", `<span class="a-b a-u a-11">x</span>`},
		{"of 256", "\x1b[38;5;196mx", `<span class="a-10">x</span>`},
		{"of 16 million", "\x1b[38;2;10;200;30mx\x1b[39my", `<span class="a-3">x</span>y`},
		{"a title", "\x1b]0;\"><script>\x07shown", "shown"},
		{"a link", "\x1b]8;;javascript:alert(1)\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"movements", "a\x1b[2J\x1b[1;1Hb\x1b[?25l", "ab"},
		{"a sequence that never ends", "a\x1b]0;<b>", "a"},
		{"a broken colour", "\x1b[38;5m\x1b[999;xmz", "mz"},
		{"a progress bar", "10 %\r50 %\r100 %\nend\r\n", "100 %\nend\n"},
		{"control characters", "a\x00b\u202ec", `a\x00b\u202ec`},
		{"bytes that are no text", "a\xffb", `a\xffb`},
		{"HTML in a colour", "\x1b[31m<img src=x>", `<span class="a-2">&lt;img src=x&gt;</span>`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if got := string(ansi(tt.in)); got != tt.want {
				t.Errorf("%q\n got %s\nwant %s", tt.in, got, tt.want)
			}
		})
	}
}

func TestPrettyJSON_EscapesWhatItColours(t *testing.T) {
	got := string(prettyJSON([]byte(`{"a</pre><script>":"x\"<img onerror=1>","n":-1.5e3,"t":true,"z":null,"l":[1,{}],"d":1,"d":2}`)))
	for _, want := range []string{
		`<span class="j-k">&#34;a&lt;/pre&gt;&lt;script&gt;&#34;</span>`, `<span class="j-s">&#34;x\&#34;&lt;img onerror=1&gt;&#34;</span>`,
		`<span class="j-n">-1.5e3</span>`, `<span class="j-w">true</span>`, `<span class="j-w">null</span>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
	for _, no := range []string{"", "  ", "{", "not json", `{"a":1} x`} {
		if got := prettyJSON([]byte(no)); got != "" {
			t.Errorf("%q became %s", no, got)
		}
	}
}

func TestLocal_LeadsNowhereElse(t *testing.T) {
	for _, tt := range []struct{ next, want string }{
		{"/jobs?state=failed", "/jobs?state=failed"},
		{"", "/"},
		{"https://evil.example/", "/"},
		{"//evil.example/", "/"},
		{`/\evil.example/`, "/"},
		{"javascript:alert(1)", "/"},
		{"/a\nb", "/"},
		{"jobs", "/"},
	} {
		if got := local(tt.next); got != tt.want {
			t.Errorf("local(%q) = %q, want %q", tt.next, got, tt.want)
		}
	}
}

func TestSessions_LinkWorksOnceAndNotForever(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	root := admin.Visitor{Who: "root", Scope: admin.ScopeAdmin}
	s := newSessions(func() time.Time { return now })
	key, _ := s.newLink(root)
	if who, ok := s.redeem(key); !ok || who != root {
		t.Errorf("the first use: %v, %t", who, ok)
	}
	if _, ok := s.redeem(key); ok {
		t.Error("it worked twice")
	}
	old, _ := s.newLink(root)
	now = now.Add(linkFor)
	if _, ok := s.redeem(old); ok {
		t.Error("it worked after its time")
	}
	for range maxLinks * 2 {
		s.newLink(root)
	}
	if len(s.links) > maxLinks {
		t.Errorf("%d links are kept", len(s.links))
	}
}

func TestParseRequest_TakesWhatPeoplePaste(t *testing.T) {
	for _, tt := range []struct{ what, text, method, url, header, body, wrong string }{
		{"as on the wire", "POST /github?a=b HTTP/1.1\nX-GitHub-Event: push\n\n{\"a\":1}\n\nmore", "POST", "/github?a=b", "push", "{\"a\":1}\n\nmore", ""},
		{"without headers", "GET /x", "GET", "/x", "", "", ""},
		{"as explain takes it", `{"method":"PUT","url":"/y","headers":{"X-GitHub-Event":"ping"},"body":"b"}`, "PUT", "/y", "ping", "b", ""},
		{"only a body", `hello`, "", "", "", "", "begins with a line"},
		{"a header without a colon", "POST /x\nnonsense\n\n", "", "", "", "", "no colon"},
		{"another JSON", `{"ref":"refs/heads/main"}`, "", "", "", "", "ref"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			f, err := parseRequest(tt.text)
			if tt.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wrong) {
					t.Errorf("%v, want %q in it", err, tt.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			header := strings.Join(f.Headers["X-GitHub-Event"], ",")
			if f.Method != tt.method || f.URL != tt.url || header != tt.header || *f.Body != tt.body {
				t.Errorf("%+v with %q", f, *f.Body)
			}
		})
	}
}
