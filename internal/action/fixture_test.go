package action

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/launch"
	"github.com/tenterhook/tenterhook/internal/request"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv("CHILD"); mode != "" {
		beChild(mode)
		return
	}
	if err := launch.Adopt(); err != nil {
		panic(err)
	}
	_, _ = launch.Take() // as a daemon does before it loads; without a control group is as good
	goleak.VerifyTestMain(m)
}

const sample = `{"name":"O'Hara; rm -rf / $(id)","n":9007199254740993,"nil":null,"list":[1,"a"],"nul":"a\u0000b","path":"a/b"}`

// compiled makes the action of a rule, which must have no problems.
func compiled(t *testing.T, rule string, secrets ...string) Action {
	t.Helper()
	a, d := compileRule(t, rule, secrets...)
	if d.Err() != nil {
		var text bytes.Buffer
		d.Print(&text, false)
		t.Fatalf("rule:\n%s\n%s", rule, text.String())
	}
	return a
}

func compileRule(t *testing.T, rule string, secrets ...string) (Action, *config.Diagnostics) {
	t.Helper()
	dir := t.TempDir()
	file, d := config.Parse(filepath.Join(dir, "hooks.yaml"), []byte(rule), config.Options{})
	if d.Err() != nil {
		t.Fatal(d)
	}
	m := file.Root.Map(d)
	return Compile(m, file.Root, Context{Dir: dir, Diagnostics: d, Hook: "site", Rule: "deploy", Mask: NewMasks(secrets)}), d
}

func delivery(body string) *expression.Input {
	return &expression.Input{
		Request: &request.Request{Method: "POST", Path: "/x", Body: []byte(body), Header: map[string][]string{"Content-Type": {"application/json"}}},
		Hook:    "site", Event: "push", DeliveryID: "delivery-1",
	}
}

func facts(t *testing.T) Facts {
	return Facts{Job: "job-" + uuid.NewString(), Delivery: "delivery-1", Hook: "site", Rule: "deploy", Event: "push", Attempt: 1, RunDir: t.TempDir()}
}

func prepared(t *testing.T, a Action, f Facts) Prepared {
	t.Helper()
	p, err := a.Prepare(delivery(sample), f)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ran runs a rule to its end and returns its output.
func ran(t *testing.T, rule string, secrets ...string) (Result, string) {
	t.Helper()
	return runWith(t, context.Background(), rule, facts(t), secrets...)
}

func runWith(t *testing.T, ctx context.Context, rule string, f Facts, secrets ...string) (Result, string) {
	t.Helper()
	a := compiled(t, rule, secrets...)
	out := NewOutput(a.OutputLimit())
	r := prepared(t, a, f).Run(ctx, out)
	left, err := os.ReadDir(f.RunDir)
	if err != nil || len(left) != 0 {
		t.Errorf("the run's private folder is still there: %v %v", left, err)
	}
	return r, string(out.Bytes())
}

// eventually polls for what another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		<-tick.C
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// alive lists the processes that carry a job's id.
func alive(f Facts) int {
	n := 0
	for _, pid := range pids() {
		if stat(pid).lives() && jobOf(pid) == f.Job {
			n++
		}
	}
	return n
}

func succeeded(t *testing.T, r Result, out string) {
	t.Helper()
	if r.Err != nil {
		t.Fatalf("%v\n%s", r.Err, strings.TrimSpace(out))
	}
}
