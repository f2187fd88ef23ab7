package cli

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
)

// transcript runs what a page shows: blocks of the language console, in which "$ " begins a command
// and what follows is its output; and files, which are blocks whose first line is "# NAME". A line
// "…" stands for any lines. Ids, times, sizes and addresses are those of the run; an id of the page
// stands for that of the run in later commands.
type transcript struct {
	t       *testing.T
	dir     string
	ids     map[string]string // of the page → of the run
	replace *strings.Replacer // what a page cannot name, such as your repository
	daemon  *exec.Cmd
	env     []string
	before  func(command string) // what happens elsewhere meanwhile; nil: nothing
}

// TestTranscripts_ArePrintedAsShown runs the pages whose commands begin in a folder of their own.
func TestTranscripts_ArePrintedAsShown(t *testing.T) {
	t.Parallel()
	for page, prepare := range map[string]func(*transcript){
		"docs/getting-started.md": (*transcript).repository,
		"README.md":               (*transcript).checkout,
		"docs/senders.md":         (*transcript).provider,
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(filepath.Join("..", "..", page))
			if err != nil {
				t.Fatal(err)
			}
			dir, err := os.MkdirTemp("", "page") // short, for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			tr := &transcript{t: t, dir: dir, ids: map[string]string{}, replace: strings.NewReplacer()}
			prepare(tr)
			tr.play(string(content))
		})
	}
}

// checkout is where the README's reader is: in the repository, of which the commands read one file.
func (tr *transcript) checkout() { tr.copyFile("hooks.yaml", "hooks.yaml", 0o600) }

// repository is the one that getting-started.md deploys.
func (tr *transcript) repository() {
	if _, err := exec.LookPath("git"); err != nil {
		tr.t.Skip("git is not here")
	}
	tr.must(tr.shell(`set -e
git init --quiet .origin
git -C .origin symbolic-ref HEAD refs/heads/main
echo '<h1>hello</h1>' > .origin/index.html
git -C .origin add index.html
git -C .origin -c user.name=you -c user.email=you@example.com commit --quiet -m 'First page'`))
	tr.replace = strings.NewReplacer("https://github.com/you/site.git", "file://"+tr.dir+"/.origin")
}

// provider is GitHub as docs/senders.md walks through it: while the daemon is down for an hour it sends three pushes.
func (tr *transcript) provider() {
	server := sendertest.GitHub()
	tr.t.Cleanup(server.Close)
	tr.replace = strings.NewReplacer("api: {token:", "api: {url: '"+server.URL+"', token:")
	tr.env = []string{"GITHUB_TOKEN=" + sendertest.Token, "GITHUB_WEBHOOK_SECRET=0123456789abcdef0123456789abcdef"}
	tr.before = func(command string) {
		if tr.daemon == nil || !strings.HasSuffix(command, "tenterhook serve") {
			return
		}
		tr.stop()
		db, err := sql.Open("sqlite", filepath.Join(tr.dir, "tenterhook.db"))
		tr.must("", err)
		_, err = db.Exec("UPDATE listened SET since = since - 3600000000, until = until - 3600000000")
		tr.must("", errors.Join(err, db.Close()))
		for n := range 3 {
			server.Send(sendertest.Sent{Hook: server.Hooks()[0].ID, GUID: fmt.Sprintf("0b989ba4-242f-11e5-81e1-c7b6966d251%d", n), Event: "push", At: time.Now().Add(-time.Duration(30-n) * time.Minute), Body: []byte(`{"ref":"refs/heads/main"}`)})
		}
	}
}

func (tr *transcript) copyFile(from, to string, mode os.FileMode) {
	content, err := os.ReadFile(filepath.Join("..", "..", from))
	if err == nil {
		err = os.WriteFile(filepath.Join(tr.dir, to), content, mode)
	}
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *transcript) must(out string, err error) {
	if err != nil {
		tr.t.Fatalf("%v: %s", err, out)
	}
}

var codeBlocks = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// named is the first line of a block that is a file.
var named = regexp.MustCompile(`^# ([\w./-]+\.\w+)(?:$|\s)`)

func (tr *transcript) play(page string) {
	ran := 0
	for _, block := range codeBlocks.FindAllStringSubmatch(page, -1) {
		language, text := block[1], block[2]
		if file := named.FindStringSubmatch(text); file != nil {
			at := filepath.Join(tr.dir, file[1])
			tr.must("", os.MkdirAll(filepath.Dir(at), 0o700))
			tr.must("", os.WriteFile(at, []byte(tr.replace.Replace(text)), 0o700))
		}
		if language == "console" {
			ran += tr.console(text)
		}
	}
	if ran < 4 {
		tr.t.Errorf("the page shows %d commands", ran)
	}
}

// console runs the commands of a block.
func (tr *transcript) console(text string) (ran int) {
	for _, part := range regexp.MustCompile(`(?m)^\$ `).Split(text, -1)[1:] {
		command, output, _ := strings.Cut(part, "\n")
		for strings.HasSuffix(command, `\`) {
			next, rest, _ := strings.Cut(output, "\n")
			command, output = strings.TrimSuffix(command, `\`)+next, rest
		}
		command, _, _ = strings.Cut(command, "   #") // an aside
		tr.command(strings.ReplaceAll(command, "go run ./cmd/tenterhook", "tenterhook"), strings.TrimRight(output, "\n"))
		ran++
	}
	return ran
}

func (tr *transcript) command(command, want string) {
	tr.t.Helper()
	for shown, real := range tr.ids {
		command = strings.ReplaceAll(command, shown, real)
	}
	if tr.before != nil {
		tr.before(command)
	}
	if strings.HasSuffix(command, "tenterhook serve") {
		tr.serve(command, want)
		return
	}
	var got string
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // what is shown may take a moment to be so
		got, _ = tr.shell(command)
		got = strings.Replace(got, "nothing has changed, digest", "reloaded, digest", 1) // the watch may be quicker than the command
		if problem := tr.compare(want, got); problem == "" {
			return
		} else if time.Now().After(deadline) || !strings.HasPrefix(command, "tenterhook jobs") && !strings.HasPrefix(command, "cat ") {
			tr.t.Fatalf("$ %s\n%s\nprinted:\n%s\nshown:\n%s", command, problem, got, want)
		}
	}
}

// serve starts the daemon, and ends the one before it.
func (tr *transcript) serve(command, want string) {
	tr.stop()
	ctx, cancel := context.WithCancel(context.Background())
	read, write, err := os.Pipe()
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.daemon = tr.prepare(ctx, "exec "+command+" --log-format text")
	tr.daemon.Stderr = write
	if err := tr.daemon.Start(); err != nil {
		tr.t.Fatal(err)
	}
	_ = write.Close()
	lines := make(chan string, 1)
	go func() {
		var text bytes.Buffer
		buffer := make([]byte, 4096)
		for {
			n, err := read.Read(buffer)
			text.Write(buffer[:n])
			if strings.Contains(text.String(), "ready") || err != nil {
				break
			}
		}
		lines <- text.String()
		_, _ = text.ReadFrom(read)
		_ = read.Close()
	}()
	tr.t.Cleanup(func() { tr.stop(); cancel() })
	if problem := tr.compare(want, <-lines); problem != "" {
		tr.t.Fatalf("$ %s: %s", command, problem)
	}
}

func (tr *transcript) stop() {
	if tr.daemon == nil {
		return
	}
	_ = tr.daemon.Process.Signal(os.Interrupt)
	_ = tr.daemon.Wait()
	tr.daemon = nil
}

func (tr *transcript) shell(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := tr.prepare(ctx, command).CombinedOutput()
	return string(out), err
}

func (tr *transcript) prepare(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = tr.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tr.dir, "TZ=UTC", "COLUMNS=100", "NO_COLOR=1",
		"TENTERHOOK_SERVER__LISTEN=unix:hooks.sock", "TENTERHOOK_ADMIN__LISTEN=unix:admin.sock",
	}, tr.env...)
	return cmd
}

// volatile is what differs from run to run.
var volatile = regexp.MustCompile(strings.Join([]string{
	`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, // 0: ids
	`\b[0-9a-f]{12}\b`,                       // digests
	`\b[0-9a-f]{7,8}\b`,                      // ends of ids, and of commits
	`\d{4}-\d\d-\d\d`,                        // days
	`\d\d:\d\d:\d\d(?:\.\d+)?`,               // times
	`(?:https?://[\w.:-]+|127\.0\.0\.1:\d+)`, // addresses
	`\d+(?:\.\d+)?\s?(?:ms|µs|s)\b`,          // durations
	`store=\S+`, `workers=\d+`,
}, "|"))

var day = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// compare says how output differs from what is shown; "" for not at all.
func (tr *transcript) compare(want, got string) string {
	lines := strings.Split(strings.TrimSpace(got), "\n")
	skipping := false
	for _, shown := range strings.Split(want, "\n") {
		if strings.TrimSpace(shown) == "…" {
			skipping = true
			continue
		}
		pattern, ids := tr.pattern(shown)
		for {
			if len(lines) == 0 {
				return fmt.Sprintf("there is no line like %q", shown)
			}
			line := strings.TrimRight(lines[0], " \r")
			lines = lines[1:]
			if found := pattern.FindStringSubmatch(line); found != nil {
				for i, id := range ids {
					tr.ids[id] = found[i+1]
				}
				break
			}
			if !skipping {
				return fmt.Sprintf("%q is not like %q", line, shown)
			}
		}
		skipping = false
	}
	if len(lines) > 0 && !skipping {
		return fmt.Sprintf("and there is more: %q", lines[0])
	}
	return ""
}

// pattern is what a shown line may be in a run, with the ids it captures.
func (tr *transcript) pattern(shown string) (*regexp.Regexp, []string) {
	var b strings.Builder
	var ids []string
	b.WriteString("^")
	literal := func(s string) {
		b.WriteString(regexp.MustCompile(`\s+`).ReplaceAllString(regexp.QuoteMeta(s), `\s+`))
	}
	at := 0
	for _, m := range volatile.FindAllStringIndex(shown, -1) {
		literal(shown[at:m[0]])
		token := shown[m[0]:m[1]]
		if regexp.MustCompile(`^[0-9a-f-]{7,}$`).MatchString(token) && !day.MatchString(token) {
			b.WriteString(`([0-9a-f-]{7,})`)
			ids = append(ids, token)
		} else {
			b.WriteString(`\S+(?: m?s)?`)
		}
		at = m[1]
	}
	literal(strings.TrimRight(shown[at:], " "))
	b.WriteString("$")
	return regexp.MustCompile(b.String()), ids
}
